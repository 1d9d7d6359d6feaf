/*
 * npy.h - a strict reader of .npy files (version 1.0) for tests: C order, '<i4' or '<f4', one or
 * two dimensions, exactly as many bytes as the shape says.
 */
#ifndef TESTS_NPY_H
#define TESTS_NPY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct npy {
    size_t n_rows, n_cols; /* n_cols is 1 for one dimension */
    union {
        float *f32;
        int32_t *i32;
        void *data; /* owned */
    };
};

/* The header is a Python literal in one fixed order, as numpy writes it. */
static inline bool npy_parse_header(struct npy *out, const char *text, const char *descr)
{
    char start[80];
    unsigned long long n_rows = 0, n_cols = 1;
    int length = 0;

    snprintf(start, sizeof start, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    if (strncmp(text, start, strlen(start)) != 0)
        return false;
    text += strlen(start);
    if (sscanf(text, "%llu, %llu), }%n", &n_rows, &n_cols, &length) != 2 || length == 0) {
        n_cols = 1;
        if (sscanf(text, "%llu,), }%n", &n_rows, &length) != 1 || length == 0)
            return false;
    }
    text += length;
    out->n_rows = (size_t)n_rows;
    out->n_cols = (size_t)n_cols;
    return strspn(text, " \n") == strlen(text) && n_rows < 1u << 20 && n_cols < 1u << 20;
}

static inline bool npy_read_open(struct npy *out, FILE *f, const char *descr)
{
    static const uint8_t magic[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    uint8_t start[10];
    char header[1024] = {0};
    size_t n_header, n_bytes;

    if (fread(start, 1, sizeof start, f) != sizeof start || memcmp(start, magic, 8) != 0)
        return false;
    n_header = (size_t)start[8] | (size_t)start[9] << 8;
    if (n_header >= sizeof header || fread(header, 1, n_header, f) != n_header)
        return false;
    if (!npy_parse_header(out, header, descr))
        return false;
    n_bytes = out->n_rows * out->n_cols * 4;
    out->data = malloc(n_bytes + 1);
    if (out->data != NULL && fread(out->data, 1, n_bytes + 1, f) == n_bytes)
        return true;
    free(out->data);
    out->data = NULL;
    return false;
}

/* `descr` is "<i4" or "<f4". False if the file is not there or anything is not as it should be;
 * else *out is the caller's: npy_release. */
static inline bool npy_read(struct npy *out, const char *path, const char *descr)
{
    FILE *f = fopen(path, "rb");
    bool ok;

    memset(out, 0, sizeof *out);
    if (f == NULL)
        return false;
    ok = npy_read_open(out, f, descr);
    fclose(f);
    return ok;
}

static inline void npy_release(struct npy *npy)
{
    free(npy->data);
    memset(npy, 0, sizeof *npy);
}

#endif
