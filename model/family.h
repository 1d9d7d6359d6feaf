/*
 * family.h - the architectures that are served, and what each reads from a config in its own way:
 * biases, norms of q and k, sliding windows, defaults of absent fields.
 */
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include "common/head_defaults.h"
#include "model/config.h"

struct json_fields;
struct family;

/* The one that "architectures" names; NULL with f->st set if it is not served. */
const struct family *family_find(struct json_fields *f);

/* What absent fields about heads mean. */
struct head_defaults family_heads(const struct family *family);

/* Fills the fields of `cfg` that are the family's; cfg->n_layers stands already. */
void family_read(const struct family *family, struct json_fields *f, struct model_config *cfg);

#endif
