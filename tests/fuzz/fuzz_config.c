/* Any text as config.json and as generation_config.json; what is accepted must be usable. */
#include "common/mem.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void check_config(const struct model_config *cfg)
{
    CHECK(cfg->n_layers >= 1 && cfg->n_layers <= 256);
    CHECK(cfg->n_kv_heads >= 1 && cfg->n_heads % cfg->n_kv_heads == 0);
    CHECK(cfg->head_dim >= 8 && cfg->head_dim <= 256 && cfg->head_dim % 8 == 0);
    CHECK(cfg->rms_eps > 0 && cfg->rope.factor >= 1 && cfg->rope.theta > 1);
    CHECK(cfg->rope.attention_factor > 0 && cfg->rope.kind <= ROPE_LLAMA3);
    for (uint32_t l = 0; l < cfg->n_layers; l++)
        CHECK(model_config_window(cfg, l) <= cfg->sliding_window);
    CHECK(cfg->n_eos <= MODEL_MAX_EOS);
    for (uint32_t i = 0; i < cfg->n_eos; i++)
        CHECK(cfg->eos[i] >= 0 && (uint32_t)cfg->eos[i] < cfg->n_vocab);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    const char *text = (const char *)bytes;
    struct model_config generation = {.n_vocab = 512};
    struct model_config cfg;
    struct err err = {{0}};

    if (model_config_parse(&cfg, text, n_bytes, "fuzz", &err) == ST_OK)
        check_config(&cfg);
    else
        CHECK(err.text[0] != '\0');
    if (model_config_parse_generation(&generation, text, n_bytes, "fuzz", &err) == ST_OK)
        CHECK(generation.n_eos <= MODEL_MAX_EOS);
    return 0;
}
