/*
 * manifest.h - manifest.json: what ran, on what, with which settings.
 *
 * FORMATS.md, "manifest.json", lists the fields.
 */
#ifndef ORCHESTRATOR_MANIFEST_H
#define ORCHESTRATOR_MANIFEST_H

#include "common/status.h"
#include "orchestrator/experiment.h"
#include "orchestrator/machine.h"
#include "orchestrator/matrix.h"
#include "orchestrator/prompt_source.h"

struct study_place;

struct manifest {
    const struct experiment *e; /* all pointers are borrowed */
    const struct machine *machine;
    const struct matrix *matrix;
    struct prompt_source *source; /* asked for its prompts' hashes */
    const char *version;          /* of the program */
    const char *commit;           /* NULL: not built from git */
    int argc;
    char *const *argv;
    /* What a resumed run reads the experiment from again. */
    const char *directory; /* the current one, absolute */
    const char *text;      /* the experiment file's bytes; e->path is its name */
    const char *const *set;
    size_t n_sets;
    const char *target_fingerprint, *draft_fingerprint; /* NULL: none */
    bool random_target, random_draft;                   /* weights */
    uint32_t n_layers;
    const struct study_place *const *place; /* [n_places], each started */
    uint32_t n_places;
    bool is_started; /* false: the fields below are not known yet, null in the file */
    /* The store's own words and numbers, from WELCOME; of the first place. */
    const char *arena_kind; /* "posix" or "memfd" */
    uint64_t arena_bytes, huge_page_bytes;
    int numa_node;                 /* -1: not bound */
    double numa_local_share;       /* -1: unknown */
    double memory_gbps, link_gbps; /* measured; 0: not */
    double device_link_gbps;       /* of a real link to the device; 0: none */
    bool link_simulated;
};

enum { MANIFEST_FORMAT = 2 };

/* The file's bytes, owned by the caller: free(). */
char *manifest_text(const struct manifest *m);
/* Through a temporary file, fsync and rename: `path` is whole or absent. */
enum status manifest_write(const struct manifest *m, const char *path, struct err *err);

#endif
