#include "common/coder.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* First bytes of msgpack's types. */
enum {
    TAG_ARRAY_FIX = 0x90,
    TAG_STR_FIX = 0xa0,
    TAG_FALSE = 0xc2,
    TAG_TRUE = 0xc3,
    TAG_BIN_8 = 0xc4,
    TAG_F64 = 0xcb,
    TAG_U8 = 0xcc,
    TAG_I8 = 0xd0,
    TAG_STR_8 = 0xd9,
    TAG_ARRAY_16 = 0xdc,
    TAG_NEGATIVE_FIX = 0xe0
};
enum { FIRST_CAP = 256 };

void coder_init_writer(struct coder *c)
{
    *c = (struct coder){.st = ST_OK};
}

void coder_init_reader(struct coder *c, const uint8_t *bytes, size_t n_bytes)
{
    *c = (struct coder){.reading = true, .st = ST_OK, .in = bytes, .n_in = n_bytes};
}

void coder_release(struct coder *c)
{
    free(c->out);
    *c = (struct coder){.st = ST_OK};
}

void coder_fail(struct coder *c, const char *field)
{
    if (c->st != ST_OK)
        return;
    c->st = ST_CORRUPT;
    c->field = field;
}

size_t coder_left(const struct coder *c)
{
    return c->n_in - c->at;
}

/* ---- writing: msgpack-c packs into the growing buffer ---- */

static int append(void *data, const char *bytes, size_t n)
{
    struct coder *c = data;

    if (n > c->cap - c->n_out) {
        size_t cap = c->cap > 0 ? c->cap : FIRST_CAP;
        while (cap - c->n_out < n)
            cap *= 2;
        c->out = mem_resize(c->out, cap, 1);
        c->cap = cap;
    }
    if (n > 0)
        memcpy(c->out + c->n_out, bytes, n);
    c->n_out += n;
    return 0;
}

static msgpack_packer packer(struct coder *c)
{
    return (msgpack_packer){.data = c, .callback = append};
}

static void put_array(struct coder *c, uint32_t n)
{
    msgpack_packer pk = packer(c);

    msgpack_pack_array(&pk, n);
}

static void put_bin(struct coder *c, const uint8_t *bytes, size_t n)
{
    msgpack_packer pk = packer(c);

    msgpack_pack_bin(&pk, n);
    msgpack_pack_bin_body(&pk, bytes, n);
}

/* ---- reading ---- */

/* n bytes of the input, or NULL after a failure. */
static const uint8_t *take(struct coder *c, const char *field, size_t n)
{
    const uint8_t *at = c->in + c->at;

    if (c->st == ST_OK && coder_left(c) < n)
        coder_fail(c, field);
    if (c->st != ST_OK)
        return NULL;
    c->at += n;
    return at;
}

/* The next byte; 0xc1, which msgpack never uses, after a failure. */
static uint8_t take_tag(struct coder *c, const char *field)
{
    const uint8_t *tag = take(c, field, 1);

    return tag != NULL ? *tag : 0xc1;
}

/* A big-endian number of n bytes; 0 after a failure. */
static uint64_t take_number(struct coder *c, const char *field, size_t n)
{
    const uint8_t *bytes = take(c, field, n);
    uint64_t v = 0;

    for (size_t i = 0; bytes != NULL && i < n; i++)
        v = v << 8 | bytes[i];
    return v;
}

/* A number of 2^step bytes, at least `least` if it has one byte, else too large
 * for the next shorter form. */
static uint64_t take_sized(struct coder *c, const char *field, unsigned step, uint64_t least)
{
    uint64_t v = take_number(c, field, (size_t)1 << step);

    if (step > 0)
        least = (uint64_t)1 << (4u << step);
    if (v < least)
        coder_fail(c, field);
    return v;
}

static uint64_t take_unsigned(struct coder *c, const char *field, uint64_t max)
{
    uint8_t tag = take_tag(c, field);
    uint64_t v = tag;

    if (tag >= TAG_U8 && tag < TAG_U8 + 4)
        v = take_sized(c, field, tag - TAG_U8, 0x80);
    else if (tag >= 0x80)
        coder_fail(c, field);
    if (v > max)
        coder_fail(c, field);
    return c->st == ST_OK ? v : 0;
}

static int32_t take_signed(struct coder *c, const char *field)
{
    uint8_t tag = c->st == ST_OK && coder_left(c) > 0 ? c->in[c->at] : 0;
    unsigned step = tag - TAG_I8;
    int64_t v;

    if (tag >= TAG_NEGATIVE_FIX) {
        c->at++;
        return (int8_t)tag;
    }
    if (tag < TAG_I8 || step > 2)
        return (int32_t)take_unsigned(c, field, INT32_MAX);
    c->at++;
    v = (int64_t)take_number(c, field, (size_t)1 << step);
    v -= (int64_t)1 << (8 << step); /* only negative values have these forms */
    if (v < -((int64_t)1 << ((8 << step) - 1)) ||
        v >= (step == 0 ? -32 : -(128 << (8 * (step - 1)))))
        coder_fail(c, field);
    return c->st == ST_OK ? (int32_t)v : 0;
}

/* Length of a bin (three forms) that must be present in full. */
static size_t take_bin_length(struct coder *c, const char *field)
{
    uint8_t tag = take_tag(c, field);
    uint64_t n = 0;

    if (tag < TAG_BIN_8 || tag > TAG_BIN_8 + 2)
        coder_fail(c, field);
    else
        n = take_sized(c, field, tag - TAG_BIN_8, 0);
    if (c->st == ST_OK && n > coder_left(c))
        coder_fail(c, field);
    return c->st == ST_OK ? (size_t)n : 0;
}

static size_t take_str_length(struct coder *c, const char *field)
{
    uint8_t tag = take_tag(c, field);
    uint64_t n = 0;

    if (tag >= TAG_STR_FIX && tag < TAG_STR_FIX + 32)
        n = tag - TAG_STR_FIX;
    else if (tag >= TAG_STR_8 && tag < TAG_STR_8 + 3)
        n = take_sized(c, field, tag - TAG_STR_8, 32);
    else
        coder_fail(c, field);
    if (c->st == ST_OK && n > coder_left(c))
        coder_fail(c, field);
    return c->st == ST_OK ? (size_t)n : 0;
}

static uint32_t take_array_length(struct coder *c, const char *field)
{
    uint8_t tag = take_tag(c, field);
    uint64_t n = 0;

    if (tag >= TAG_ARRAY_FIX && tag < TAG_ARRAY_FIX + 16)
        n = tag - TAG_ARRAY_FIX;
    else if (tag == TAG_ARRAY_16)
        n = take_number(c, field, 2);
    else if (tag == TAG_ARRAY_16 + 1)
        n = take_sized(c, field, 2, 0);
    else
        coder_fail(c, field);
    if (tag == TAG_ARRAY_16 && n < 16) /* there is no form with one byte */
        coder_fail(c, field);
    if (c->st == ST_OK && n > coder_left(c)) /* an element has at least one byte */
        coder_fail(c, field);
    return c->st == ST_OK ? (uint32_t)n : 0;
}

/* ---- fields ---- */

void code_u32(struct coder *c, const char *field, uint32_t *v)
{
    uint64_t wide = *v;

    if (c->reading)
        *v = (uint32_t)take_unsigned(c, field, UINT32_MAX);
    else
        code_u64(c, field, &wide);
}

void code_u64(struct coder *c, const char *field, uint64_t *v)
{
    msgpack_packer pk = packer(c);

    if (c->reading)
        *v = take_unsigned(c, field, UINT64_MAX);
    else
        msgpack_pack_uint64(&pk, *v);
}

void code_i32(struct coder *c, const char *field, int32_t *v)
{
    msgpack_packer pk = packer(c);

    if (c->reading)
        *v = take_signed(c, field);
    else
        msgpack_pack_int32(&pk, *v);
}

void code_f64(struct coder *c, const char *field, double *v)
{
    msgpack_packer pk = packer(c);
    uint64_t bits;

    if (c->reading) {
        if (take_tag(c, field) != TAG_F64)
            coder_fail(c, field);
        bits = take_number(c, field, sizeof bits);
        memcpy(v, &bits, sizeof *v);
    }
    if (!isfinite(*v))
        coder_fail(c, field);
    if (c->st != ST_OK && c->reading)
        *v = 0.0;
    if (!c->reading)
        msgpack_pack_double(&pk, *v);
}

void code_bool(struct coder *c, const char *field, bool *v)
{
    msgpack_packer pk = packer(c);
    uint8_t tag;

    if (!c->reading) {
        (*v ? msgpack_pack_true : msgpack_pack_false)(&pk);
        return;
    }
    tag = take_tag(c, field);
    if (tag != TAG_TRUE && tag != TAG_FALSE)
        coder_fail(c, field);
    *v = tag == TAG_TRUE;
}

void code_text(struct coder *c, const char *field, char *text, size_t size)
{
    msgpack_packer pk = packer(c);
    const uint8_t *bytes;
    size_t n;

    if (!c->reading) {
        n = strnlen(text, size);
        if (n == size)
            coder_fail(c, field);
        msgpack_pack_str(&pk, n);
        msgpack_pack_str_body(&pk, text, n);
        return;
    }
    text[0] = '\0';
    n = take_str_length(c, field);
    if (n >= size)
        coder_fail(c, field);
    bytes = take(c, field, n);
    if (bytes == NULL)
        return;
    if (n > 0 && memchr(bytes, '\0', n) != NULL) {
        coder_fail(c, field);
        return;
    }
    memcpy(text, bytes, n);
    text[n] = '\0';
}

void code_count(struct coder *c, const char *field, uint32_t *n, uint32_t max)
{
    if (c->reading)
        *n = take_array_length(c, field);
    if (*n > max)
        coder_fail(c, field);
    if (!c->reading && c->st == ST_OK)
        put_array(c, *n);
    if (c->st != ST_OK)
        *n = 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays travel as they lie in memory");

/* Elements of `width` bytes, *v[*n], as one bin. */
static void code_elements(struct coder *c, const char *field, void **v, size_t width, uint32_t *n,
                          uint32_t max)
{
    size_t n_bytes = (size_t)*n * width;

    if (c->reading) {
        *v = NULL;
        n_bytes = take_bin_length(c, field);
        *n = 0;
    }
    if (n_bytes % width != 0 || n_bytes / width > max)
        coder_fail(c, field);
    if (c->st != ST_OK)
        return;
    if (!c->reading) {
        put_bin(c, *v, n_bytes);
        return;
    }
    *n = (uint32_t)(n_bytes / width);
    *v = mem_array(*n, width);
    memcpy(*v, take(c, field, n_bytes), n_bytes);
}

void code_i32_array(struct coder *c, const char *field, int32_t **v, uint32_t *n, uint32_t max)
{
    void *elements = *v;

    code_elements(c, field, &elements, sizeof **v, n, max);
    *v = elements;
}

void code_u64_array(struct coder *c, const char *field, uint64_t **v, uint32_t *n, uint32_t max)
{
    void *elements = *v;

    code_elements(c, field, &elements, sizeof **v, n, max);
    *v = elements;
}

enum status coder_finish(struct coder *c, const char *what, struct err *err)
{
    if (c->st == ST_OK && c->reading && coder_left(c) > 0) {
        c->st = ST_CORRUPT;
        return err_set(err, c->st, "%s: %zu bytes follow its last field", what, coder_left(c));
    }
    if (c->st != ST_OK && c->reading)
        return err_set(err, c->st, "%s: field %s at byte %zu of %zu is malformed", what, c->field,
                       c->at, c->n_in);
    if (c->st != ST_OK)
        return err_set(err, c->st, "%s: field %s has a value that cannot be sent", what, c->field);
    return ST_OK;
}
