#include "orchestrator/doctor_speed.h"

#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/proc.h"
#include "common/whole_file.h"

enum { MEASURE_MS = 60000, STOP_MS = 1000, MAX_PRINTED = 64 * 1024 };

bool doctor_speed_parse(struct doctor_speed *out, const char *printed)
{
    static const char unit[] = " GB/s read\n";
    const char *line_end = strchr(printed, '\n'), *colon = strstr(printed, "): ");
    char *end;
    double gbps;

    if (colon == NULL || line_end == NULL || colon > line_end)
        return false;
    gbps = strtod(colon + 3, &end);
    if (!(gbps > 0) || !isfinite(gbps) || strncmp(end, unit, strlen(unit)) != 0)
        return false;
    snprintf(out->device, sizeof out->device, "%.*s", (int)(colon + 1 - printed), printed);
    out->read_gbps = gbps;
    return true;
}

/* What the bench says on failure: its one line without its name. */
static enum status refused(const char *printed, struct err *err)
{
    static const char name[] = "mspeckv-bench: ";
    const char *words =
        strncmp(printed, name, strlen(name)) == 0 ? printed + strlen(name) : printed;

    if (*words == '\0')
        words = "the measurement ended without a word";
    return err_set(err, ST_DEVICE, "%.*s", (int)strcspn(words, "\n"), words);
}

static enum status run(char *const argv[], const char *log, struct err *err)
{
    struct proc proc = {.pidfd = -1};
    struct pollfd ended = {.events = POLLIN};
    enum status st = proc_spawn(&proc, "bench", argv, log, err);
    int n;

    if (st != ST_OK)
        return st;
    ended.fd = proc.pidfd;
    n = poll(&ended, 1, MEASURE_MS);
    proc_stop(&proc, STOP_MS);
    return n == 1 ? ST_OK
                  : err_set(err, ST_TIMEOUT, "%s: no answer in %d s", argv[0], MEASURE_MS / 1000);
}

enum status doctor_speed_measure(struct doctor_speed *out, const char *device, uint32_t n_threads,
                                 struct err *err)
{
    char dir[PATH_MAX], log[] = "/tmp/mspeckv-speed-XXXXXX", *printed = NULL, *program, *threads;
    int fd = mkstemp(log);
    size_t n = 0;
    enum status st = proc_self_dir(dir, sizeof dir, err);

    if (fd < 0)
        return err_set(err, ST_IO, "no file can be made in /tmp");
    close(fd);
    program = mem_printf("%s/mspeckv-bench", dir);
    threads = mem_printf("%u", n_threads);
    if (st == ST_OK) {
        char *const argv[] = {program,     "memory", "--device", (char *)(uintptr_t)device,
                              "--threads", threads,  NULL};
        st = run(argv, log, err);
    }
    if (st == ST_OK)
        st = whole_file_read(&printed, &n, log, MAX_PRINTED, err);
    if (st == ST_OK && !doctor_speed_parse(out, printed))
        st = refused(printed, err);
    unlink(log);
    free(printed);
    free(program);
    free(threads);
    return st;
}
