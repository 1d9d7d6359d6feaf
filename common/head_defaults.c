#include "common/head_defaults.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *architecture;
    struct head_defaults heads;
} table[] = {
    {"MistralForCausalLM", {8, 0}},
    {"Qwen2ForCausalLM", {32, 0}},
    {"Qwen3ForCausalLM", {32, 128}},
};

struct head_defaults head_defaults_of(const char *architecture)
{
    for (size_t i = 0; architecture != NULL && i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].architecture, architecture) == 0)
            return table[i].heads;
    }
    return (struct head_defaults){0};
}
