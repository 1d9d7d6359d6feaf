#include "tools/eval/eval_windows.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/demo_text.h"
#include "text/prompt.h"

/* The last tokens of a cut text may be others than those of a longer one; no token is made of
 * this many. */
enum { CUT_TOKENS = 64 };

/* How many rows of a window are scored, checked against text and model. */
static enum status choose_scored(const struct eval_windows_args *a, uint32_t n_text, uint32_t n_bos,
                                 uint32_t *out, struct err *err)
{
    uint64_t most = (uint64_t)n_text / a->n_windows + n_bos; /* tokens of a window */
    uint64_t need = (uint64_t)a->n_prefill + a->n_scored + 1;
    uint64_t n_scored = a->n_scored;

    if (a->n_scored == 0)
        need = (uint64_t)a->n_prefill + 2;
    if (need > most)
        return err_set(err, ST_INVALID,
                       "%s has %u tokens, %llu for each of %u windows; --prefill %u and --tokens "
                       "%u need %llu",
                       a->text, n_text, (unsigned long long)most, a->n_windows, a->n_prefill,
                       a->n_scored > 0 ? a->n_scored : 1, (unsigned long long)need);
    if (n_scored == 0)
        n_scored = most - a->n_prefill - 1;
    if (a->n_scored == 0 && a->n_prefill + n_scored > a->max_positions)
        return err_set(err, ST_INVALID,
                       "%s has %u tokens, %llu for each of %u windows, and the model has %u "
                       "positions; --tokens cuts a window",
                       a->text, n_text, (unsigned long long)most, a->n_windows, a->max_positions);
    *out = (uint32_t)n_scored;
    return ST_OK;
}

static enum status check_ids(const struct eval_windows_args *a, const struct token_list *list,
                             struct err *err)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->id[i] < 0 || (uint32_t)list->id[i] >= a->n_vocab)
            return err_set(err, ST_INVALID,
                           "token %d of %s is outside the target's vocabulary of %u: the "
                           "tokenizer is of another model",
                           (int)list->id[i], a->text, a->n_vocab);
    return ST_OK;
}

static enum status check_positions(const struct eval_windows_args *a, struct err *err)
{
    uint64_t n = (uint64_t)a->n_prefill + a->n_scored;

    if (n > a->max_positions)
        return err_set(err, ST_INVALID,
                       "--prefill %u and --tokens %u are %llu positions, and the model has %u",
                       a->n_prefill, a->n_scored, (unsigned long long)n, a->max_positions);
    return ST_OK;
}

static size_t length_of(const struct eval_windows *w)
{
    return (size_t)w->n_prefill + w->n_scored + 1;
}

/* BOS and what follows at `from`. */
static void cut(struct eval_windows *w, uint32_t window, int32_t bos, const int32_t *from)
{
    int32_t *to = w->token + window * length_of(w);
    size_t n_bos = bos >= 0 ? 1 : 0;

    to[0] = bos;
    memcpy(to + n_bos, from, (length_of(w) - n_bos) * sizeof *to);
}

static enum status cut_file(struct eval_windows *w, const struct eval_windows_args *a,
                            struct err *err)
{
    int32_t bos = tokenizer_bos(a->tok);
    struct token_list list;
    struct text_buf text;
    enum status st;

    text_buf_init(&text);
    token_list_init(&list);
    st = prompt_read(&text, a->text, err);
    if (st == ST_OK)
        st = tokenizer_encode(a->tok, text.data, text.n, &list, err);
    w->n_text = list.n;
    if (st == ST_OK)
        st = choose_scored(a, list.n, bos >= 0, &w->n_scored, err);
    if (st == ST_OK)
        st = check_ids(a, &list, err);
    if (st == ST_OK) {
        size_t spare = list.n + (bos >= 0 ? 1 : 0) - length_of(w);
        w->token = mem_array(w->n_windows * length_of(w), sizeof *w->token);
        for (uint32_t i = 0; i < w->n_windows; i++)
            cut(w, i, bos, list.id + (w->n_windows > 1 ? spare * i / (w->n_windows - 1) : 0));
    }
    token_list_release(&list);
    text_buf_release(&text);
    return st;
}

static enum status count_tokens(void *ctx, const char *text, size_t n_bytes, size_t *out_tokens,
                                struct err *err)
{
    struct token_list list;
    enum status st;

    token_list_init(&list);
    st = tokenizer_encode(ctx, text, n_bytes, &list, err);
    *out_tokens = list.n;
    token_list_release(&list);
    return st;
}

static enum status cut_demo(struct eval_windows *w, const struct eval_windows_args *a,
                            uint32_t window, struct err *err)
{
    struct demo_text_options options = {.seed = a->demo_seed + window};
    struct demo_text *text = NULL;
    struct token_list list;
    const char *bytes;
    size_t n = 0;
    enum status st = demo_text_open(&text, &options, err);

    token_list_init(&list);
    if (st == ST_OK)
        st = demo_text_grow_tokens(text, length_of(w) + CUT_TOKENS, count_tokens,
                                   (void *)(uintptr_t)a->tok, &n, err);
    if (st == ST_OK) {
        bytes = demo_text_bytes(text, &n);
        st = tokenizer_encode(a->tok, bytes, n, &list, err);
    }
    if (st == ST_OK)
        st = check_ids(a, &list, err);
    if (st == ST_OK)
        cut(w, window, tokenizer_bos(a->tok), list.id);
    token_list_release(&list);
    demo_text_close(text);
    return st;
}

static enum status cut_demos(struct eval_windows *w, const struct eval_windows_args *a,
                             struct err *err)
{
    enum status st = ST_OK;

    if (a->n_scored == 0)
        return err_set(err, ST_INVALID,
                       "--tokens is missing: the demo text has no end to score up to");
    w->n_scored = a->n_scored;
    w->token = mem_array(w->n_windows * length_of(w), sizeof *w->token);
    for (uint32_t i = 0; st == ST_OK && i < w->n_windows; i++)
        st = cut_demo(w, a, i, err);
    return st;
}

enum status eval_windows_open(struct eval_windows *out, const struct eval_windows_args *a,
                              struct err *err)
{
    struct eval_windows w = {.n_windows = a->n_windows, .n_prefill = a->n_prefill};
    enum status st = check_positions(a, err);

    CHECK(a->n_windows > 0 && a->n_prefill > 0);
    if (st == ST_OK)
        st = strcmp(a->text, "demo") == 0 ? cut_demos(&w, a, err) : cut_file(&w, a, err);
    if (st != ST_OK) {
        eval_windows_release(&w);
        return st;
    }
    *out = w;
    return ST_OK;
}

void eval_windows_release(struct eval_windows *w)
{
    free(w->token);
    memset(w, 0, sizeof *w);
}

const int32_t *eval_windows_tokens(const struct eval_windows *w, uint32_t window)
{
    CHECK(window < w->n_windows);
    return w->token + window * length_of(w);
}
