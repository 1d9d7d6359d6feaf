#include "text/normalizer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "common/mem.h"
#include "text/utf8.h"

#define MAX_TEXT_BYTES ((size_t)INT32_MAX)
/* utf8proc sorts a run of combining marks in quadratic time. The Unicode
 * Stream-Safe format allows 30 in a row. */
#define MAX_MARKS 2048

void normalizer_init(struct normalizer *norm)
{
    *norm = (struct normalizer){0};
}

static void stage_release(const struct normalizer_stage *stage)
{
    pattern_close(stage->pattern);
    free(stage->text);
}

void normalizer_release(struct normalizer *norm)
{
    for (unsigned i = 0; i < norm->n; i++)
        stage_release(&norm->stage[i]);
    normalizer_init(norm);
}

enum status normalizer_push(struct normalizer *norm, const struct normalizer_stage *stage,
                            struct err *err)
{
    if (norm->n == NORMALIZER_MAX_STAGES) {
        stage_release(stage);
        return err_set(err, ST_UNSUPPORTED, "more than %d normalizers", NORMALIZER_MAX_STAGES);
    }
    norm->stage[norm->n++] = *stage;
    return ST_OK;
}

static enum status replace(const struct normalizer_stage *stage, const struct text_buf *in,
                           struct text_buf *out, struct err *err)
{
    struct pattern_scan *scan = pattern_scan_open(stage->pattern);
    size_t done = 0, start, end;
    bool found;
    enum status st;

    pattern_scan_start(scan, in->data, in->n);
    while ((st = pattern_scan_next(scan, &start, &end, &found, err)) == ST_OK && found) {
        text_buf_add(out, in->data + done, start - done);
        text_buf_add(out, stage->text, stage->n_text);
        done = end;
        if (out->n > MAX_TEXT_BYTES)
            break; /* the caller says so */
    }
    if (st == ST_OK)
        text_buf_add(out, in->data + done, in->n - done);
    pattern_scan_close(scan);
    return st;
}

static bool is_ascii(const struct text_buf *text)
{
    for (size_t i = 0; i < text->n; i++)
        if ((unsigned char)text->data[i] >= 0x80)
            return false;
    return true;
}

static enum status check_marks(const struct text_buf *text, struct err *err)
{
    unsigned n_marks = 0;

    for (size_t i = 0; i < text->n;) {
        size_t len = utf8_len(text->data + i, text->n - i);
        utf8proc_int32_t code = (utf8proc_int32_t)utf8_code(text->data + i, len);

        CHECK(len > 0);
        n_marks = utf8proc_get_property(code)->combining_class ? n_marks + 1 : 0;
        if (n_marks > MAX_MARKS)
            return err_set(err, ST_INVALID,
                           "more than %d combining marks in a row end at byte %zu of a segment",
                           MAX_MARKS, i + len);
        i += len;
    }
    return ST_OK;
}

static enum status unicode_form(enum normalizer_kind kind, const struct text_buf *in,
                                struct text_buf *out, struct err *err)
{
    utf8proc_option_t options = UTF8PROC_STABLE;
    utf8proc_uint8_t *result = NULL;
    utf8proc_ssize_t n;
    enum status st;

    if (is_ascii(in)) { /* is its own form, in all four */
        text_buf_add(out, in->data, in->n);
        return ST_OK;
    }
    st = check_marks(in, err);
    if (st != ST_OK)
        return st;
    options |= kind == NORM_NFC || kind == NORM_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    if (kind == NORM_NFKC || kind == NORM_NFKD)
        options |= UTF8PROC_COMPAT;
    n = utf8proc_map((const utf8proc_uint8_t *)in->data, (utf8proc_ssize_t)in->n, &result, options);
    if (n < 0)
        return err_set(err, ST_INVALID, "normalising the text: %s", utf8proc_errmsg(n));
    text_buf_add(out, (const char *)result, (size_t)n);
    free(result);
    return ST_OK;
}

static void squeeze(const struct text_buf *in, enum text_place place, struct text_buf *out)
{
    for (size_t i = 0; i < in->n; i++) {
        bool again = out->n == 0 ? place != TEXT_WITHIN : out->data[out->n - 1] == ' ';

        if (in->data[i] != ' ' || !again)
            text_buf_add(out, in->data + i, 1);
    }
}

static void trim_end(const struct normalizer_stage *stage, const struct text_buf *in,
                     struct text_buf *out)
{
    size_t n = in->n, cut = stage->n_text;

    CHECK(cut > 0);
    while (n >= cut && memcmp(in->data + n - cut, stage->text, cut) == 0)
        n -= cut;
    text_buf_add(out, in->data, n);
}

static enum status run_stage(const struct normalizer_stage *stage, const struct text_buf *in,
                             enum text_place place, struct text_buf *out, struct err *err)
{
    switch (stage->kind) {
    case NORM_PREPEND:
        if (place != TEXT_WITHIN)
            text_buf_add(out, stage->text, stage->n_text);
        text_buf_add(out, in->data, in->n);
        return ST_OK;
    case NORM_REPLACE:
        return replace(stage, in, out, err);
    case NORM_SQUEEZE:
        squeeze(in, place, out);
        return ST_OK;
    case NORM_TRIM_END:
        trim_end(stage, in, out);
        return ST_OK;
    default:
        return unicode_form(stage->kind, in, out, err);
    }
}

enum status normalizer_run(const struct normalizer *norm, struct text_buf *text,
                           enum text_place place, struct err *err)
{
    struct text_buf next, swap;
    enum status st = ST_OK;

    text_buf_init(&next);
    for (unsigned i = 0; st == ST_OK && i < norm->n && text->n > 0; i++) {
        next.n = 0;
        st = run_stage(&norm->stage[i], text, place, &next, err);
        swap = *text;
        *text = next;
        next = swap;
        if (st == ST_OK && text->n > MAX_TEXT_BYTES)
            st = err_set(err, ST_INVALID, "the text grows beyond 2 GiB while it is normalised");
    }
    text_buf_release(&next);
    return st;
}
