/*
 * experiment.h - a study as its YAML file describes it, checked.
 *
 * One file: target, draft, dataset, documents, seeds, methods, fixed settings,
 * one or two swept settings, devices, link, limits. FORMATS.md, "Experiment
 * file", lists every key with its range and default. Paths of the file resolve
 * against its folder, paths of a --set against the current one.
 */
#ifndef ORCHESTRATOR_EXPERIMENT_H
#define ORCHESTRATOR_EXPERIMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"
#include "orchestrator/place.h"
#include "orchestrator/setting.h"
#include "orchestrator/slurm_options.h"

enum {
    EXPERIMENT_MAX_VALUES = 32, /* of one sweep */
    EXPERIMENT_MAX_SWEEPS = 2,
    EXPERIMENT_MAX_SEEDS = 64,
    EXPERIMENT_MAX_TABLES = 4, /* studies in one file: quick.yaml has an a1 and an a2 part */
    EXPERIMENT_MAX_DOCUMENTS = 64,
    EXPERIMENT_MAX_PLACES = 16,
    EXPERIMENT_MAX_BYTES = 64 * 1024 /* of a file */
};

enum link_kind { LINK_NONE, LINK_GBPS, LINK_RATIO };

struct sweep {
    char key[32]; /* "prefill", "resident_layers", "on_chip", "gen_len", "gamma", "budget", ... */
    uint32_t n_values;
    double value[EXPERIMENT_MAX_VALUES];
};

/* One method's accepted tokens of a verification: one number, or one by value of a setting. */
struct replay_means {
    const struct setting_key *by; /* NULL: accepted[0] everywhere */
    uint32_t n;                   /* 0: baseline */
    double at[EXPERIMENT_MAX_VALUES], accepted[EXPERIMENT_MAX_VALUES];
};

/* Acceptance that is given beforehand: replay_plan.h. */
struct replay_plan {
    bool is_on;
    struct replay_means means[METHOD_COUNT];
    double draft_rate; /* 0: the middle level judges */
};

/* One table of the study: which methods over which sweep. */
struct study {
    char name[16]; /* "a1", "a2", "b1", "b2" or the file's own word */
    char title[80];
    uint32_t n_methods;
    enum method method[METHOD_COUNT];
    enum method reference; /* what delta and speedup are against; one of `method` */
    uint32_t n_sweeps;     /* 0: one point */
    struct sweep sweep[EXPERIMENT_MAX_SWEEPS];
    struct setting fixed; /* swept keys hold their first value */
    struct replay_plan replay;
    char *on_chip_at; /* where on_chip was said, for a later refusal: "file:line:column" */
};

struct experiment {
    char *path; /* the file, as given */
    char name[32];
    char *target;                   /* checkpoint directory */
    char *draft;                    /* NULL: none (only baseline can run) */
    char *target_at, *draft_at;     /* "file:line:column" or "--set key=value" */
    char *dataset;                  /* "demo", a text file, a folder, or JSON Lines: dataset.h */
    char *dataset_field;            /* of JSON Lines; NULL: not said */
    char *dataset_at, *template_at; /* as target_at */
    bool skip_short;                /* pass over documents that are too short */
    char *template_word;            /* of prompt_template_words; NULL: "none", or template_file */
    char *template_file;            /* NULL: template_word */
    bool chat;                      /* prompts take the checkpoint's chat form */
    uint32_t n_documents;
    uint64_t document_seed; /* demo text: document i has seed document_seed + i */
    uint32_t n_seeds;
    uint64_t seed[EXPERIMENT_MAX_SEEDS];
    uint32_t sinks, window; /* the draft's StreamingLLM cache */
    uint32_t n_studies;
    struct study study[EXPERIMENT_MAX_TABLES];
    enum link_kind link;
    double link_value; /* GB/s or ratio */
    uint32_t n_places;
    struct place place[EXPERIMENT_MAX_PLACES];
    uint32_t parallel;  /* cells at once; cell i of them on place i % n_places */
    bool share_devices; /* else the first `parallel` places are disjoint */
    uint32_t threads;   /* per worker; 0: all CPUs of its place */
    char arena[8];      /* "posix" or "memfd" */
    char *out;          /* directory for runs; NULL: "runs" in the current folder */
    double timeout_s;   /* of one trial */
    bool warmup;        /* a discarded trial before the first of each method */
    struct slurm_options slurm;
};

/* Reads and checks `path` with n_sets strings "key=value" put over it (the same keys, dotted
 * where nested: "link.simulate_ratio=62", "a2.resident_layers=[0,8]"; where a file has one study
 * also "resident_layers=[0,8]"; in a file of several studies a plain setting goes to all).
 * ST_INVALID: one line "file:line:column: what is wrong; what would be right", or
 * "--set key=value: ...". ST_IO: the file cannot be read. */
enum status experiment_read(struct experiment **out, const char *path, const char *const *set,
                            size_t n_sets, struct err *err);
/* The same from memory; `path` is only for words and for resolving. */
enum status experiment_parse(struct experiment **out, const char *path, const char *text,
                             size_t n_bytes, const char *const *set, size_t n_sets,
                             struct err *err);
/* The checkpoint directories, the dataset and the template are there; names the key's
 * place and the --set that would do. */
enum status experiment_check_paths(const struct experiment *e, struct err *err);
void experiment_free(struct experiment *e); /* NULL is fine */

#endif
