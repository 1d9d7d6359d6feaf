/*
 * demo_dump - demo texts with their recalled spans, for the trainer.
 *
 *   demo_dump SEED N_TEXTS N_BYTES N_ATTRIBUTES > FILE
 *
 * Text i has seed SEED + i, at least N_BYTES bytes and N_ATTRIBUTES attributes
 * a register (0: all). Each text is written as little-endian u32 n_bytes, u32
 * n_spans, the bytes, then n_spans pairs of u32 begin and end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/demo_text.h"

#define MAX_TEXT_BYTES (1u << 26)

struct dump_args {
    uint64_t seed, n_texts, n_bytes, n_attributes;
};

static enum status parse_number(uint64_t *out, const char *name, const char *word, uint64_t max,
                                struct err *err)
{
    char *end;

    errno = 0;
    *out = strtoull(word, &end, 10);
    if (errno || *end || word[0] < '0' || word[0] > '9' || *out > max)
        return err_set(err, ST_INVALID, "%s is '%s', not a number up to %" PRIu64, name, word, max);
    return ST_OK;
}

static enum status parse_args(struct dump_args *args, int argc, char **argv, struct err *err)
{
    enum status st;

    if (argc != 5)
        return err_set(err, ST_INVALID, "usage: demo_dump SEED N_TEXTS N_BYTES N_ATTRIBUTES");
    st = parse_number(&args->seed, "SEED", argv[1], UINT64_MAX, err);
    if (st == ST_OK)
        st = parse_number(&args->n_texts, "N_TEXTS", argv[2], UINT32_MAX, err);
    if (st == ST_OK)
        st = parse_number(&args->n_bytes, "N_BYTES", argv[3], MAX_TEXT_BYTES, err);
    if (st == ST_OK)
        st = parse_number(&args->n_attributes, "N_ATTRIBUTES", argv[4], UINT32_MAX, err);
    return st;
}

static void write_u32(FILE *file, size_t value)
{
    unsigned char b[4] = {(unsigned char)value, (unsigned char)(value >> 8),
                          (unsigned char)(value >> 16), (unsigned char)(value >> 24)};
    fwrite(b, sizeof b, 1, file);
}

static enum status dump_text(const struct demo_text_options *options, size_t n_bytes,
                             struct err *err)
{
    const struct demo_text_span *spans;
    struct demo_text *text = NULL;
    const char *bytes;
    size_t n_spans;
    enum status st = demo_text_open(&text, options, err);

    if (st != ST_OK)
        return st;
    demo_text_grow(text, n_bytes);
    bytes = demo_text_bytes(text, &n_bytes);
    spans = demo_text_recalled(text, &n_spans);
    write_u32(stdout, n_bytes);
    write_u32(stdout, n_spans);
    fwrite(bytes, n_bytes, 1, stdout);
    for (size_t i = 0; i < n_spans; i++) {
        write_u32(stdout, spans[i].begin);
        write_u32(stdout, spans[i].end);
    }
    demo_text_close(text);
    return ST_OK;
}

int main(int argc, char **argv)
{
    struct err err = {{0}};
    struct dump_args args;
    enum status st = parse_args(&args, argc, argv, &err);
    int usage = st != ST_OK;

    for (uint64_t i = 0; st == ST_OK && i < args.n_texts; i++) {
        struct demo_text_options options = {.seed = args.seed + i,
                                            .n_attributes = (uint32_t)args.n_attributes};
        st = dump_text(&options, args.n_bytes, &err);
    }
    if (st == ST_OK && (fflush(stdout) || ferror(stdout)))
        st = err_set(&err, ST_IO, "writing the texts: %s", strerror(errno));
    if (st != ST_OK)
        fprintf(stderr, "demo_dump: %s\n", err.text);
    return st == ST_OK ? 0 : usage ? 2 : 1;
}
