#include "common/method.h"

#include <string.h>

static const char *const method_names[METHOD_COUNT] = {
    [METHOD_BASELINE] = "baseline",
    [METHOD_VANILLA_SPECDEC] = "vanilla_specdec",
    [METHOD_MSPECKV] = "mspeckv",
    [METHOD_MSPECKV_KV_QUANT] = "mspeckv_kv_quant",
};

const char *method_name(enum method method)
{
    return (unsigned)method < METHOD_COUNT ? method_names[method] : "unknown method";
}

enum status method_parse(const char *name, enum method *out, struct err *err)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (strcmp(name, method_names[i]) == 0) {
            *out = (enum method)i;
            return ST_OK;
        }
    }
    return err_set(err, ST_NOT_FOUND, "'%.60s' is no method: %s, %s, %s and %s are", name,
                   method_names[0], method_names[1], method_names[2], method_names[3]);
}
