/*
 * experiment_parts.h - how reading an experiment file is divided; included by
 * experiment*.c only.
 */
#ifndef ORCHESTRATOR_EXPERIMENT_PARTS_H
#define ORCHESTRATOR_EXPERIMENT_PARTS_H

#include "orchestrator/experiment.h"
#include "orchestrator/yaml_tree.h"

/* Keys of a study, settings left aside: "study", "title", "methods", "reference". */
bool experiment_is_study_key(const char *key);
/* Keys of the file itself, settings left aside. */
bool experiment_is_file_key(const char *key);

/* Puts "key=value" over the tree `root`. */
enum status experiment_set(struct yaml_node *root, struct yaml_pool *pool, const char *set,
                           struct err *err);

/* Fills everything but the studies and defaults of a file. */
enum status experiment_fields(struct experiment *e, const struct yaml_node *root, struct err *err);

/* One study from `map`; `shared` gives settings for all studies of the file,
 * NULL where the study stands inline. */
enum status experiment_study(struct study *out, const struct experiment *e,
                             const struct yaml_node *map, const struct yaml_node *shared,
                             struct err *err);

#endif
