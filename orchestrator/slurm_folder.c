#include "orchestrator/slurm_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"

static enum status make(const char *run, const char *name, struct err *err)
{
    char *path = mem_printf("%s/%s", run, name);
    enum status st = ST_OK;

    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        st = err_set(err, ST_IO, "mkdir %s: %s", path, strerror(errno));
    free(path);
    return st;
}

enum status slurm_folder_make(const char *run, struct err *err)
{
    enum status st = make(run, "parts", err);

    return st == ST_OK ? make(run, "slurm", err) : st;
}

bool slurm_folder_exists(const char *run)
{
    char *path = mem_printf("%s/parts", run);
    bool exists = access(path, F_OK) == 0;

    free(path);
    return exists;
}

char *slurm_folder_part(const char *run, uint32_t part)
{
    return mem_printf("%s/parts/%u", run, part);
}

char *slurm_folder_jobs(const char *run)
{
    return mem_printf("%s/slurm", run);
}

char *slurm_folder_log(const char *run, const char *job, uint32_t part)
{
    return mem_printf("%s/slurm/%s_%u.log", run, job, part);
}

/* One word of a shell. */
static void quote(FILE *to, const char *word)
{
    fputc('\'', to);
    for (; *word != '\0'; word++)
        fputs(*word == '\'' ? "'\\''" : (char[2]){*word, '\0'}, to);
    fputc('\'', to);
}

enum status slurm_folder_script(char **path, const char *run, const char *program, struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    enum status st;

    CHECK(to != NULL);
    fputs("#!/bin/sh\nexec ", to);
    quote(to, program);
    fputs(" part ", to);
    quote(to, run);
    fputs(" --task \"$SLURM_ARRAY_TASK_ID\"\n", to);
    CHECK(fclose(to) == 0);
    *path = mem_printf("%s/slurm/part.sh", run);
    st = whole_file_write(*path, text, n, err);
    free(text);
    if (st != ST_OK) {
        free(*path);
        *path = NULL;
    }
    return st;
}

enum status slurm_folder_put_job(const char *run, const char *job, uint32_t attempt,
                                 struct err *err)
{
    char *path = mem_printf("%s/slurm/job", run), *text = mem_printf("%s %u\n", job, attempt);
    enum status st = whole_file_write(path, text, strlen(text), err);

    free(path);
    free(text);
    return st;
}

enum status slurm_folder_last_job(const char *run, char job[SLURM_JOB_TEXT], uint32_t *attempt,
                                  struct err *err)
{
    char *path = mem_printf("%s/slurm/job", run), *text = NULL, line_end = '\0';
    size_t n = 0;
    enum status st = whole_file_read(&text, &n, path, 256, err);

    if (st == ST_OK && (sscanf(text, "%31[0-9] %4u%c", job, attempt, &line_end) != 3 ||
                        line_end != '\n' || *attempt == 0))
        st = err_set(err, ST_CORRUPT, "%s: the number of a job and of an attempt would be right",
                     path);
    free(text);
    free(path);
    return st;
}
