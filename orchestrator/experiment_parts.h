/*
 * experiment_parts.h - how reading an experiment file is divided; included by
 * experiment*.c only.
 */
#ifndef ORCHESTRATOR_EXPERIMENT_PARTS_H
#define ORCHESTRATOR_EXPERIMENT_PARTS_H

#include "orchestrator/experiment.h"
#include "orchestrator/yaml_tree.h"

/* Keys of a study, settings left aside: "study", "title", "methods", "reference",
 * "replay_acceptance". */
bool experiment_is_study_key(const char *key);
/* Keys of the file itself, settings left aside. */
bool experiment_is_file_key(const char *key);

/* Puts "key=value" over the tree `root`. */
enum status experiment_set(struct yaml_node *root, struct yaml_pool *pool, const char *set,
                           struct err *err);

/* Fills everything but the studies and defaults of a file. */
enum status experiment_fields(struct experiment *e, const struct yaml_node *root, struct err *err);

/* Reads one key of the file. */
typedef enum status experiment_field(struct experiment *e, const struct yaml_node *node,
                                     struct err *err);

/* Which documents, and what stands around them. */
experiment_field experiment_text_dataset, experiment_text_skip_short, experiment_text_template,
    experiment_text_chat;

/* Where the study runs: devices, parallel, share_devices, numa_node. */
enum status experiment_devices(struct experiment *e, const struct yaml_node *root, struct err *err);

/* Every key of the map is one of `known`, or the nearest is named. */
enum status experiment_check_map(const struct yaml_node *map, const char *what,
                                 const char *const *known, size_t n_known, struct err *err);
/* A path of the file belongs to the file's folder, one of a --set to the
 * current one. The caller owns the result: free(). */
char *experiment_resolve(const struct experiment *e, const struct yaml_node *node,
                         const char *path);
/* yaml_place as a text that the caller owns. */
char *experiment_place(const struct yaml_node *node);

/* One study from `map`; `shared` gives settings for all studies of the file,
 * NULL where the study stands inline. */
enum status experiment_study(struct study *out, const struct experiment *e,
                             const struct yaml_node *map, const struct yaml_node *shared,
                             struct err *err);
/* replay_acceptance of the study at `map`, whose methods and settings are read. */
enum status experiment_replay(struct study *s, const struct yaml_node *map, struct err *err);

#endif
