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

/* As words in a dictionary: a token stands behind those that it begins with. */
static int text_cmp(const char *a, size_t n_a, const char *b, size_t n_b)
{
    int order = memcmp(a, b, n_a < n_b ? n_a : n_b);

    return order != 0 ? order : n_a < n_b ? -1 : n_a > n_b;
}

static int token_cmp(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    int order = text_cmp(x->text, x->n, y->text, y->n);

    /* Of two alike, which only normalised text can bring, the lower id is found. */
    return order != 0 ? order : x->id > y->id ? -1 : x->id < y->id;
}

static bool begins_with(const struct added_token *token, const struct added_token *other)
{
    return token->n >= other->n && memcmp(token->text, other->text, other->n) == 0;
}

void added_set_seal(struct added_set *set)
{
    size_t at = 0;

    if (set->n > 0)
        qsort(set->token, set->n, sizeof *set->token, token_cmp);
    for (size_t i = 0; i < set->n; i++) {
        size_t up = i > 0 ? i - 1 : SIZE_MAX;

        while (up != SIZE_MAX && !begins_with(&set->token[i], &set->token[up]))
            up = set->token[up].up;
        set->token[i].up = up;
    }
    for (int b = 0; b < 256; b++) {
        set->first[b] = at;
        while (at < set->n && (unsigned char)set->token[at].text[0] == b)
            at++;
    }
    set->first[256] = at;
}

/* The longest token that the text begins with, NULL for none. It is the last
 * one that is not behind the text in the dictionary, or one that this begins
 * with: all between two of a chain share the beginning. */
static const struct added_token *token_at(const struct added_set *set, const char *text, size_t n)
{
    unsigned char b = (unsigned char)text[0];
    size_t low = set->first[b], high = set->first[b + 1], same = 0, i;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (text_cmp(set->token[middle].text, set->token[middle].n, text, n) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->first[b])
        return NULL;
    i = low - 1;
    while (same < n && same < set->token[i].n && set->token[i].text[same] == text[same])
        same++;
    while (i != SIZE_MAX && set->token[i].n > same)
        i = set->token[i].up;
    return i != SIZE_MAX ? &set->token[i] : NULL;
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

/* Whether a word reaches up to, or begins at, a border of the match. */
static bool is_inside_word(const char *text, size_t n, size_t start, size_t end)
{
    size_t len;

    if (start > 0) {
        size_t last = utf8_last(text, start);

        if (utf8_is_word(utf8_code(text + last, start - last)))
            return true;
    }
    len = end < n ? utf8_len(text + end, n - end) : 0;
    return len > 0 && utf8_is_word(utf8_code(text + end, len));
}

bool added_set_find(const struct added_set *set, const char *text, size_t n, size_t from,
                    struct added_match *match)
{
    if (set->n == 0)
        return false;
    for (size_t i = from, step; i < n; i += step) {
        const struct added_token *token = token_at(set, text + i, n - i);

        step = 1;
        if (token == NULL)
            continue;
        if (token->single_word && is_inside_word(text, n, i, i + token->n)) {
            step = token->n; /* a shorter one is not tried, as in the reference */
            continue;
        }
        match->id = token->id;
        match->start = token->left_strip ? strip_left(text, from, i) : i;
        match->end = i + token->n;
        if (token->right_strip)
            match->end = strip_right(text, match->end, n);
        return true;
    }
    return false;
}
