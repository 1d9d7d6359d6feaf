/*
 * result_json.h - one result as one line of JSON, and back.
 */
#ifndef ORCHESTRATOR_RESULT_JSON_H
#define ORCHESTRATOR_RESULT_JSON_H

#include <stddef.h>

#include "common/status.h"
#include "orchestrator/results.h"

/* Without newline; owned by the caller: free(). */
char *result_json_write(const struct result *r, const struct experiment *e);
/* Trusts nothing; ST_CORRUPT names the field. The caller releases *out. */
enum status result_json_read(struct result *out, const char *line, size_t n_bytes,
                             const struct experiment *e, struct err *err);

#endif
