/*
 * token_list.h - a growing list of token ids.
 */
#ifndef TEXT_TOKEN_LIST_H
#define TEXT_TOKEN_LIST_H

#include <stdint.h>

struct token_list {
    int32_t *id; /* [n], owned */
    uint32_t n;
    uint32_t cap;
};

void token_list_init(struct token_list *list);
void token_list_release(struct token_list *list); /* leaves an empty list */
void token_list_push(struct token_list *list, int32_t id);

#endif
