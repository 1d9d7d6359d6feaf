#include "tools/synth/arch.h"

#include <strings.h>

#include "kernels/kv_format.h"

/* Values of the published config.json files. Yarn-Llama-2 and llama-68m name no rope_theta: the
 * default of their family stands here. */
static const struct arch table[] = {
    {"llama-7B-128K", "Yarn-Llama-2-7b-128k", ARCH_LLAMA, 4096, 11008, 32, 32, 32, 128, 32000,
     131072, 1e-5, 10000.0, ARCH_ROPE_YARN, 32.0, 4096, 0, false},
    {"llama-13B-128K", "Yarn-Llama-2-13b-128k", ARCH_LLAMA, 5120, 13824, 40, 40, 40, 128, 32000,
     131072, 1e-5, 10000.0, ARCH_ROPE_YARN, 32.0, 4096, 0, false},
    {"LWM-Text-128K", "LWM-Text-128K", ARCH_LLAMA, 4096, 11008, 32, 32, 32, 128, 32000, 131072,
     1e-6, 1e7, ARCH_ROPE_PLAIN, 0.0, 0, 0, false},
    {"Llama-3.1-8B", "Llama-3.1-8B", ARCH_LLAMA, 4096, 14336, 32, 32, 8, 128, 128256, 131072, 1e-5,
     500000.0, ARCH_ROPE_LLAMA3, 8.0, 8192, 0, false},
    {"Llama-3.2-1B", "Llama-3.2-1B", ARCH_LLAMA, 2048, 8192, 16, 32, 8, 64, 128256, 131072, 1e-5,
     500000.0, ARCH_ROPE_LLAMA3, 32.0, 8192, 0, true},
    {"Llama-3.2-3B", "Llama-3.2-3B", ARCH_LLAMA, 3072, 8192, 28, 24, 8, 128, 128256, 131072, 1e-5,
     500000.0, ARCH_ROPE_LLAMA3, 32.0, 8192, 0, true},
    {"llama-68m", "llama-68m", ARCH_LLAMA, 768, 3072, 2, 12, 12, 64, 32000, 2048, 1e-6, 10000.0,
     ARCH_ROPE_PLAIN, 0.0, 0, 0, false},
    {"Mistral-7B-v0.1", "Mistral-7B-v0.1", ARCH_MISTRAL, 4096, 14336, 32, 32, 8, 128, 32000, 32768,
     1e-5, 10000.0, ARCH_ROPE_PLAIN, 0.0, 0, 4096, false},
    {"Mistral-Nemo", "Mistral-Nemo-Instruct-2407", ARCH_MISTRAL, 5120, 14336, 40, 32, 8, 128,
     131072, 131072, 1e-5, 1e6, ARCH_ROPE_PLAIN, 0.0, 0, 0, false},
    {"Qwen2.5-7B", "Qwen2.5-7B", ARCH_QWEN2, 3584, 18944, 28, 28, 4, 128, 152064, 131072, 1e-6, 1e6,
     ARCH_ROPE_PLAIN, 0.0, 0, 0, false},
    {"Qwen3-0.6B", "Qwen3-0.6B", ARCH_QWEN3, 1024, 3072, 28, 16, 8, 128, 151936, 40960, 1e-6, 1e6,
     ARCH_ROPE_PLAIN, 0.0, 0, 0, true},
    {"Qwen3-8B", "Qwen3-8B", ARCH_QWEN3, 4096, 12288, 36, 32, 8, 128, 151936, 40960, 1e-6, 1e6,
     ARCH_ROPE_PLAIN, 0.0, 0, 0, false},
};
enum { N_ARCHS = sizeof table / sizeof table[0] };

const struct arch *arch_at(size_t i)
{
    return i < N_ARCHS ? &table[i] : NULL;
}

const struct arch *arch_find(const char *name)
{
    for (size_t i = 0; i < N_ARCHS; i++)
        if (strcasecmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

enum status arch_check(const struct arch *arch, struct err *err)
{
    if (arch->n_heads % arch->n_kv_heads != 0)
        return err_set(err, ST_INVALID, "--kv-heads %u does not divide --heads %u",
                       arch->n_kv_heads, arch->n_heads);
    if (arch->head_dim % 8 != 0 || arch->head_dim > KV_MAX_HEAD_DIM)
        return err_set(err, ST_INVALID,
                       "--head-dim %u is not a multiple of 8 up to %d; without it --hidden / "
                       "--heads counts",
                       arch->head_dim, KV_MAX_HEAD_DIM);
    return ST_OK;
}
