#include "orchestrator/set_words.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum status set_words_take(struct set_words *out, int argc, char **argv, struct err *err)
{
    *out = (struct set_words){.set = mem_array((size_t)argc, sizeof *out->set),
                              .rest = mem_array((size_t)argc + 1, sizeof *out->rest)};
    for (int i = 0; i < argc; i++) {
        if (i > 0 && strncmp(argv[i], "--set=", 6) == 0) {
            out->set[out->n_sets++] = argv[i] + 6;
        } else if (i > 0 && strcmp(argv[i], "--set") == 0) {
            if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0)
                return err_set(err, ST_INVALID, "option --set needs a value key=value");
            out->set[out->n_sets++] = argv[++i];
        } else {
            out->rest[out->n_rest++] = argv[i];
        }
    }
    return ST_OK;
}

void set_words_release(struct set_words *w)
{
    free(w->set);
    free(w->rest);
    *w = (struct set_words){.n_sets = 0};
}
