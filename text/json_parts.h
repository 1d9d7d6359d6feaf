/*
 * json_parts.h - the sections of a tokenizer.json, each read by one function,
 * and the typed access they share. Words of errors hold the path of the value.
 */
#ifndef TEXT_JSON_PARTS_H
#define TEXT_JSON_PARTS_H

#include <jansson.h>

#include "text/tokenizer_parts.h"

/* A component may hold components; files in use nest twice. */
#define JSON_MAX_NESTING 8

/* Missing and null members take the default; other types are ST_CORRUPT. */
enum status json_parts_bool(const json_t *object, const char *key, bool otherwise, bool *out,
                            struct err *err);
/* A member that must be a string; borrowed from `object`. */
enum status json_parts_string(const json_t *object, const char *key, const char **text, size_t *n,
                              struct err *err);
/* The "type" of a component, ST_CORRUPT unless `node` is an object with one. */
enum status json_parts_type(const json_t *node, const char **type, struct err *err);
/* Opens {"String": ...} or {"Regex": ...}. */
enum status json_parts_pattern(const json_t *object, const char *key, struct pattern **out,
                               struct err *err);

/* Missing and null sections do nothing, except decoder and model. */
enum status json_normalizer_read(struct normalizer *norm, const json_t *node, int depth,
                                 struct err *err);
enum status json_pretok_read(struct pretok *pretok, const json_t *node, int depth, struct err *err);
enum status json_decoder_read(struct decode_rules *rules, const json_t *node, struct err *err);
enum status json_model_read(struct bpe_model *model, const json_t *node, struct err *err);
/* One added token as an object, its id given. */
enum status json_added_token(struct tokenizer *tok, const json_t *node, json_int_t id,
                             struct err *err);
/* The list of them. After the model and the normalizer. */
enum status json_added_read(struct tokenizer *tok, const json_t *node, struct err *err);

#endif
