/*
 * method.h - words of the study that messages, results and tables share: the
 * four methods, and how a proposal is accepted (kernels/accept.h).
 */
#ifndef COMMON_METHOD_H
#define COMMON_METHOD_H

#include "common/status.h"

/* The numbers travel in messages. */
enum method { METHOD_BASELINE, METHOD_VANILLA_SPECDEC, METHOD_MSPECKV, METHOD_MSPECKV_KV_QUANT };
enum { METHOD_COUNT = 4 };
enum acceptance { ACCEPT_REJECTION, ACCEPT_COUPLED };

/* "baseline", "vanilla_specdec", "mspeckv", "mspeckv_kv_quant". */
const char *method_name(enum method method);
/* ST_NOT_FOUND names the known ones. */
enum status method_parse(const char *name, enum method *out, struct err *err);

#endif
