#include "orchestrator/run_begin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/run_folder.h"

static enum status read_experiment(struct run_job *job, const struct run_begin *from,
                                   struct err *err)
{
    size_t n = 0;
    enum status st = ST_OK;

    if (from->text != NULL) {
        job->text = mem_strdup(from->text);
        n = strlen(job->text);
    } else {
        st = whole_file_read(&job->text, &n, from->file, EXPERIMENT_MAX_BYTES, err);
    }
    if (st != ST_OK)
        return st;
    job->set = from->set;
    job->n_sets = from->n_sets;
    job->directory = getcwd(NULL, 0);
    if (job->directory == NULL)
        return err_set(err, ST_IO, "the current directory: %s", strerror(errno));
    return experiment_parse(&job->plan.e, from->file, job->text, n, from->set, from->n_sets, err);
}

static enum status write_manifest(const struct run_job *job, struct err *err)
{
    const struct manifest m = run_job_manifest(job);
    char *path = mem_printf("%s/manifest.json", job->folder);
    enum status st = manifest_write(&m, path, err);

    free(path);
    return st;
}

static enum status open_results(struct run_job *job, struct err *err)
{
    char *path = mem_printf("%s/results.jsonl", job->folder);
    enum status st = results_open(&job->results, path, job->plan.e, err);

    free(path);
    return st;
}

enum status run_begin(struct run_job *job, const struct run_begin *from, struct err *err)
{
    enum status st = read_experiment(job, from, err);

    if (st == ST_OK)
        st = run_job_prepare(job, err);
    if (st != ST_OK)
        return st;
    st = from->out != NULL
             ? run_folder_take(&job->folder, from->out, err)
             : run_folder_make(&job->folder, job->plan.e->out, job->plan.e->name, err);
    if (st != ST_OK)
        return err_in(err, st, "run directory");
    st = run_lock_take(&job->lock, job->folder, err);
    if (st == ST_OK)
        st = write_manifest(job, err);
    if (st == ST_OK)
        st = run_job_open_log(job, err);
    return st == ST_OK ? open_results(job, err) : st;
}
