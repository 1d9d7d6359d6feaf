/*
 * slurm_manifest.h - what manifest.json of a run says of the parts that Slurm
 * ran: which jobs they were, and on which machines.
 *
 * FORMATS.md, "Slurm", lists the fields.
 */
#ifndef ORCHESTRATOR_SLURM_MANIFEST_H
#define ORCHESTRATOR_SLURM_MANIFEST_H

#include <stdint.h>

#include "orchestrator/run_record.h"

/* Adds a job to `launcher.jobs`, and writes the file. */
enum status slurm_manifest_job(struct run_record *run, const char *job, struct err *err);

/* Adds a part that has started to `launcher.parts`. The first one's machine,
 * store, link and bandwidth become the run's, *run's rates with them. ST_CORRUPT:
 * the part's simulated link is not the run's. Writes the file. */
enum status slurm_manifest_part(struct run_record *run, const struct run_record *part,
                                uint32_t number, struct err *err);
/* True: the part is in the file. */
bool slurm_manifest_has_part(const struct run_record *run, uint32_t number);

/* How many kinds of machine the parts ran on: their cpu_model and cpus. */
uint32_t slurm_manifest_kinds(const struct run_record *run);

#endif
