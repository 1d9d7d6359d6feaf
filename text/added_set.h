/*
 * added_set.h - whole tokens that are cut out of a text before anything else:
 * leftmost first, and the longest where several begin.
 */
#ifndef TEXT_ADDED_SET_H
#define TEXT_ADDED_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct added_token {
    char *text; /* [n], owned; not empty */
    size_t n;
    int32_t id;
    bool left_strip;  /* takes the white space before it */
    bool right_strip; /* takes the white space behind it */
    bool single_word; /* is only text where a letter or digit stands next to it */
    size_t up;        /* the longest other token that this one begins with; SIZE_MAX none */
};

struct added_set {
    struct added_token *token; /* [n], owned; sorted by their bytes once sealed */
    size_t n;
    size_t cap;
    size_t first[257]; /* tokens beginning with byte b: [first[b], first[b+1]) */
};

void added_set_init(struct added_set *set);
void added_set_release(struct added_set *set);
/* Takes token->text. */
void added_set_push(struct added_set *set, const struct added_token *token);
/* To be called once, after the last push and before the first search. */
void added_set_seal(struct added_set *set);

struct added_match {
    size_t start;
    size_t end;
    int32_t id;
};
/* The first token in well-formed text[from..n). Stripped white space belongs
 * to the match, but not to the left of `from`. */
bool added_set_find(const struct added_set *set, const char *text, size_t n, size_t from,
                    struct added_match *match);

#endif
