/*
 * yaml_value.h - one node of an experiment file as a number, word or switch.
 *
 * Strict: the whole text counts, numbers and switches are unquoted, true and
 * false are the only switches, no leading zeros, no suffixes. `what` is the
 * key, for the words. Every refusal is ST_INVALID with the node's place and
 * what would be right.
 */
#ifndef ORCHESTRATOR_YAML_VALUE_H
#define ORCHESTRATOR_YAML_VALUE_H

#include "common/status.h"
#include "orchestrator/yaml_tree.h"

struct yaml_range {
    double min, max;
    bool open_min; /* min itself is refused */
};

enum status yaml_integer(const struct yaml_node *node, const char *what, uint64_t min, uint64_t max,
                         uint64_t *out, struct err *err);
enum status yaml_real(const struct yaml_node *node, const char *what, struct yaml_range range,
                      double *out, struct err *err);
enum status yaml_bool(const struct yaml_node *node, const char *what, bool *out, struct err *err);
/* Index into `choices`, "a|b|c". */
enum status yaml_choice(const struct yaml_node *node, const char *what, const char *choices,
                        uint32_t *out, struct err *err);
/* Not empty, at most max_bytes, no control characters. Borrowed from the node. */
enum status yaml_text(const struct yaml_node *node, const char *what, size_t max_bytes,
                      const char **out, struct err *err);
/* As yaml_text, of letters, digits, '_', '-', '.', beginning with a letter or digit. */
enum status yaml_word(const struct yaml_node *node, const char *what, size_t max_bytes,
                      const char **out, struct err *err);
enum status yaml_expect(const struct yaml_node *node, const char *what, enum yaml_kind kind,
                        struct err *err);

#endif
