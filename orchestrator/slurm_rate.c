#include "orchestrator/slurm_rate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/doctor_speed.h"

static enum status read_rate(double *gbps, const char *path, struct err *err)
{
    char *text = NULL, *end;
    size_t n = 0;
    enum status st = whole_file_read(&text, &n, path, 64, err);

    if (st != ST_OK)
        return st;
    *gbps = strtod(text, &end);
    if (end == text || *end != '\n' || !isfinite(*gbps) || *gbps <= 0)
        st = err_set(err, ST_CORRUPT, "%s: a bandwidth in GB/s would be right", path);
    free(text);
    return st;
}

/* A link to a whole file appears at once and never replaces another's. */
static enum status publish(double gbps, const char *path, struct err *err)
{
    char *own = mem_printf("%s.%d", path, (int)getpid());
    char *text = mem_printf("%.6f\n", gbps);
    enum status st = whole_file_write(own, text, strlen(text), err);

    if (st == ST_OK && link(own, path) != 0 && errno != EEXIST)
        st = err_set(err, ST_IO, "link %s: %s", path, strerror(errno));
    unlink(own);
    free(own);
    free(text);
    return st;
}

enum status slurm_rate_agree(double *memory_gbps, const char *run, const struct experiment *e,
                             struct err *err)
{
    char *path = mem_printf("%s/slurm/memory_gbps", run);
    enum status st = read_rate(memory_gbps, path, err);

    if (st == ST_NOT_FOUND) {
        struct doctor_speed speed;
        st = doctor_speed_measure(&speed, e->place[0].verify, e->threads, err);
        if (st == ST_OK)
            st = publish(speed.read_gbps, path, err);
        if (st == ST_OK)
            st = read_rate(memory_gbps, path, err);
    }
    free(path);
    return st;
}
