/*
 * family.h - the architectures that are served, and what each reads from a config in its own way:
 * biases, norms of q and k, sliding windows, defaults of absent fields.
 */
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include "model/config.h"

struct json_fields;
struct family;

/* The one that "architectures" names; NULL with f->st set if it is not served. */
const struct family *family_find(struct json_fields *f);

/* Values of fields that are absent, where Hugging Face transformers gives the family its own:
 * 0 says that the value follows from others. */
uint32_t family_default_kv_heads(const struct family *family);
uint32_t family_default_head_dim(const struct family *family);

/* Fills the fields of `cfg` that are the family's; cfg->n_layers stands already. */
void family_read(const struct family *family, struct json_fields *f, struct model_config *cfg);

#endif
