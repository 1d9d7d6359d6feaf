#include "text/added_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/utf8.h"

void added_set_init(struct added_set *set)
{
    *set = (struct added_set){0};
}

void added_set_release(struct added_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        free(set->token[i].text);
    free(set->token);
    added_set_init(set);
}

void added_set_push(struct added_set *set, const struct added_token *token)
{
    CHECK(token->n > 0);
    if (set->n == set->cap) {
        set->cap = set->cap ? 2 * set->cap : 16;
        set->token = mem_resize(set->token, set->cap, sizeof *set->token);
    }
    set->token[set->n++] = *token;
}

/* By first byte, then longest first, so that the first hit is the longest. */
static int token_cmp(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    unsigned char bx = (unsigned char)x->text[0], by = (unsigned char)y->text[0];

    if (bx != by)
        return bx < by ? -1 : 1;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void added_set_seal(struct added_set *set)
{
    size_t at = 0;

    if (set->n > 0)
        qsort(set->token, set->n, sizeof *set->token, token_cmp);
    for (int b = 0; b < 256; b++) {
        set->first[b] = at;
        while (at < set->n && (unsigned char)set->token[at].text[0] == b)
            at++;
    }
    set->first[256] = at;
}

static const struct added_token *token_at(const struct added_set *set, const char *text, size_t n)
{
    unsigned char b = (unsigned char)text[0];

    for (size_t i = set->first[b]; i < set->first[b + 1]; i++) {
        const struct added_token *t = &set->token[i];

        if (t->n <= n && memcmp(t->text, text, t->n) == 0)
            return t;
    }
    return NULL;
}

static size_t strip_left(const char *text, size_t from, size_t at)
{
    while (at > from) {
        size_t start = from + utf8_last(text + from, at - from);

        if (!utf8_is_space(utf8_code(text + start, at - start)))
            break;
        at = start;
    }
    return at;
}

static size_t strip_right(const char *text, size_t at, size_t n)
{
    while (at < n) {
        size_t len = utf8_len(text + at, n - at);

        if (len == 0 || !utf8_is_space(utf8_code(text + at, len)))
            break;
        at += len;
    }
    return at;
}

bool added_set_find(const struct added_set *set, const char *text, size_t n, size_t from,
                    struct added_match *match)
{
    const struct added_token *token;

    if (set->n == 0)
        return false;
    for (size_t i = from; i < n; i++) {
        token = token_at(set, text + i, n - i);
        if (token == NULL)
            continue;
        match->id = token->id;
        match->start = token->left_strip ? strip_left(text, from, i) : i;
        match->end = i + token->n;
        if (token->right_strip)
            match->end = strip_right(text, match->end, n);
        return true;
    }
    return false;
}
