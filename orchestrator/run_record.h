/*
 * run_record.h - a run's manifest.json read back: where the run came from, and
 * whether what would go on with it is still the same.
 *
 * The file may have been edited or be another program's: nothing of it is
 * trusted, and nothing is written before all of it is checked.
 */
#ifndef ORCHESTRATOR_RUN_RECORD_H
#define ORCHESTRATOR_RUN_RECORD_H

#include <stddef.h>

#include "common/status.h"

struct run_record {
    void *root; /* the JSON; owned, the texts below lie in it */
    char *path; /* of the file; owned */
    const char *file, *directory,
        *text;        /* the experiment file's name, where it was read, its bytes */
    const char **set; /* [n_sets]; the array is owned */
    size_t n_sets;
    bool is_started;               /* the workers have run: the two below are frozen */
    double memory_gbps, link_gbps; /* 0: no link */
    double device_link_gbps;       /* 0: no such link */
};

/* ST_NOT_FOUND: `dir` is no run directory. ST_CORRUPT: the field that is wrong.
 * ST_VERSION: written by another format, version or commit (NULL: none) of
 * the program; with `version` NULL any version and commit will do.
 * run_record_release in any case. */
enum status run_record_read(struct run_record *out, const char *dir, const char *version,
                            const char *commit, struct err *err);
void run_record_release(struct run_record *r); /* zeroed is fine */

/* `now` is the manifest_text that the same run would have today. ST_STALE names
 * the first of machine, checkpoints, prompts and settings that differs. */
enum status run_record_check(const struct run_record *r, const char *now, struct err *err);
/* The same, whatever the machine. */
enum status run_record_check_study(const struct run_record *r, const char *now, struct err *err);

/* Writes down that the run goes on, and by which command. */
enum status run_record_note(struct run_record *r, int argc, char *const *argv, struct err *err);

#endif
