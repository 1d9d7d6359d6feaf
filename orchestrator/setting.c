#include "orchestrator/setting.h"

#include <stddef.h>
#include <string.h>

#include "common/mem.h"
#include "kernels/kv_format.h"

#define AT(field) .key = #field, .offset = offsetof(struct setting, field)

/* In the order of enum kv_format and enum acceptance: the index is the number. */
static const char format_names[] = "f32|f16|int8|int4";
static const char acceptance_names[] = "rejection|coupled";

_Static_assert(KV_F32 == 0 && KV_F16 == 1 && KV_INT8 == 2 && KV_INT4 == 3 && KV_FORMAT_COUNT == 4,
               "format_names is in the order of enum kv_format");
_Static_assert(ACCEPT_REJECTION == 0 && ACCEPT_COUPLED == 1,
               "acceptance_names is in the order of enum acceptance");

/* Defaults: the original study's, DESIGN section 5. Upper bounds are those of
 * the messages (prompt, rows, layers) or far beyond sense. */
const struct setting_key setting_keys[SETTING_KEYS] = {
    {AT(prefill), .kind = SETTING_INTEGER, .min = 1, .max = 131072, .standard = -1},
    {AT(gen_len), .kind = SETTING_INTEGER, .min = 1, .max = 65536, .standard = 256},
    {AT(budget), .kind = SETTING_INTEGER, .min = 1, .max = 131072, .standard = 4096},
    {AT(chunk), .kind = SETTING_INTEGER, .min = 1, .max = 1024, .standard = 8},
    {AT(gamma), .kind = SETTING_INTEGER, .min = 1, .max = MSG_MAX_ROWS - 1, .standard = 8},
    {AT(gamma_draft), .kind = SETTING_INTEGER, .min = 1, .max = MSG_MAX_ROWS - 1, .standard = 1},
    {AT(on_chip), .kind = SETTING_INTEGER, .min = 0, .max = MSG_MAX_LAYERS, .standard = 16},
    {AT(resident_layers), .kind = SETTING_INTEGER, .min = 0, .max = MSG_MAX_LAYERS, .standard = 16},
    {AT(temperature), .kind = SETTING_REAL, .min = 0, .max = 100, .standard = 0.6},
    {AT(top_p), .kind = SETTING_REAL, .min = 0, .max = 1, .open_min = true, .standard = 0.9},
    {AT(acceptance), .kind = SETTING_CHOICE, .choices = acceptance_names, .standard = 0},
    {AT(kv_format), .kind = SETTING_CHOICE, .choices = format_names, .standard = KV_INT8},
    {AT(staging_layers), .kind = SETTING_INTEGER, .min = 0, .max = MSG_MAX_LAYERS, .standard = 0},
    {AT(ignore_eos), .kind = SETTING_BOOL, .standard = 1},
};

const struct setting_key *setting_key_find(const char *key)
{
    for (size_t i = 0; i < SETTING_KEYS; i++)
        if (strcmp(setting_keys[i].key, key) == 0)
            return &setting_keys[i];
    return NULL;
}

bool setting_key_sweeps(const struct setting_key *key)
{
    return key->kind == SETTING_INTEGER || key->kind == SETTING_REAL;
}

struct setting setting_standard(void)
{
    struct setting s = {0};
    for (size_t i = 0; i < SETTING_KEYS; i++)
        if (setting_keys[i].standard >= 0)
            setting_put(&s, &setting_keys[i], setting_keys[i].standard);
    return s;
}

double setting_get(const struct setting *s, const struct setting_key *key)
{
    const char *field = (const char *)s + key->offset;
    switch (key->kind) {
    case SETTING_INTEGER:
    case SETTING_CHOICE:
        return *(const uint32_t *)(const void *)field;
    case SETTING_REAL:
        return *(const double *)(const void *)field;
    case SETTING_BOOL:
        return *(const bool *)(const void *)field ? 1 : 0;
    }
    return 0;
}

void setting_put(struct setting *s, const struct setting_key *key, double value)
{
    char *field = (char *)s + key->offset;
    switch (key->kind) {
    case SETTING_INTEGER:
    case SETTING_CHOICE:
        CHECK(value >= 0 && value <= UINT32_MAX);
        *(uint32_t *)(void *)field = (uint32_t)value;
        break;
    case SETTING_REAL:
        *(double *)(void *)field = value;
        break;
    case SETTING_BOOL:
        *(bool *)(void *)field = value != 0;
        break;
    }
}

bool setting_same(const struct setting *a, const struct setting *b)
{
    for (size_t i = 0; i < SETTING_KEYS; i++)
        if (setting_get(a, &setting_keys[i]) != setting_get(b, &setting_keys[i]))
            return false;
    return a->replay_accepted == b->replay_accepted && a->replay_draft_rate == b->replay_draft_rate;
}

struct setting setting_for_method(const struct setting *s, enum method method)
{
    struct setting m = *s;
    if (method != METHOD_MSPECKV_KV_QUANT) {
        m.kv_format = KV_F16;
        m.resident_layers = 0;
    }
    if (method == METHOD_BASELINE || method == METHOD_VANILLA_SPECDEC) {
        m.budget = 0;
        m.chunk = 1;
        m.gamma_draft = 1;
    }
    if (method == METHOD_BASELINE)
        m.gamma = 0;
    return m;
}

static const char *const format_list[] = {"f32", "f16", "int8", "int4"};
static const char *const acceptance_list[] = {"rejection", "coupled"};

const char *setting_format_name(uint32_t kv_format)
{
    return kv_format < KV_FORMAT_COUNT ? format_list[kv_format] : "?";
}

const char *setting_acceptance_name(uint32_t acceptance)
{
    return acceptance <= ACCEPT_COUPLED ? acceptance_list[acceptance] : "?";
}
