#include "text/token_list.h"

#include <stdlib.h>

#include "common/mem.h"

void token_list_init(struct token_list *list)
{
    *list = (struct token_list){0};
}

void token_list_release(struct token_list *list)
{
    free(list->id);
    token_list_init(list);
}

void token_list_push(struct token_list *list, int32_t id)
{
    if (list->n == list->cap) {
        CHECK(list->cap < UINT32_MAX / 2); /* encode refuses texts this long */
        list->cap = list->cap ? 2 * list->cap : 64;
        list->id = mem_resize(list->id, list->cap, sizeof *list->id);
    }
    list->id[list->n++] = id;
}
