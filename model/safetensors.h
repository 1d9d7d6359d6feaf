/*
 * safetensors.h - one file of tensors: u64 LE header size, JSON header, data.
 *
 * The header is checked completely before anything is handed out: the tensors tile the data
 * exactly, without gap, overlap or overflow, and each range is as long as its shape and dtype
 * say. Data is never touched. The format: https://github.com/huggingface/safetensors.
 *
 * A mapped file that is shortened while it is open ends the program with one line
 * (common/map_guard.h).
 */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum { SAFETENSORS_MAX_DIMS = 8, SAFETENSORS_MAX_NAME = 255 };

/* Every dtype of the format that fills whole bytes; kernels read the first three. */
enum safetensors_dtype {
    SAFETENSORS_F32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_BOOL,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_U16,
    SAFETENSORS_I16,
    SAFETENSORS_U32,
    SAFETENSORS_I32,
    SAFETENSORS_U64,
    SAFETENSORS_I64,
    SAFETENSORS_F64,
    SAFETENSORS_F8_E4M3,
    SAFETENSORS_F8_E5M2
};

struct safetensors_entry {
    char *name; /* at most SAFETENSORS_MAX_NAME printable ASCII characters */
    enum safetensors_dtype dtype;
    uint32_t n_dims;
    uint64_t dim[SAFETENSORS_MAX_DIMS];
    uint64_t begin, end; /* bytes from the start of the data; begin may have any alignment */
};

struct safetensors {
    char *path;           /* stands in messages */
    const uint8_t *bytes; /* [n_bytes] the whole file */
    size_t n_bytes;
    size_t data_at; /* where the header ends and the data begins */
    size_t n_entries;
    struct safetensors_entry *entry; /* [n_entries], ascending by name */
    bool mapped;                     /* `bytes` is owned: unmapped by release */
};

/* Maps `path` read-only. ST_CORRUPT, ST_UNSUPPORTED (a dtype that is none of the above),
 * ST_NOT_FOUND, ST_IO. */
enum status safetensors_open(struct safetensors *out, const char *path, struct err *err);
/* The same from memory, borrowed until safetensors_release; `name` stands in messages. */
enum status safetensors_parse(struct safetensors *out, const uint8_t *bytes, size_t n_bytes,
                              const char *name, struct err *err);
void safetensors_release(struct safetensors *file); /* zeroed or released is fine */

/* NULL if there is none of that name; borrowed until safetensors_release. */
const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_dtype_name(enum safetensors_dtype dtype);

#endif
