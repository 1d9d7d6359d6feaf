/* Any bytes as a safetensors file; what is accepted must lie within them. */
#include "common/mem.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    struct safetensors file = {0};
    struct err err = {{0}};

    if (safetensors_parse(&file, bytes, n_bytes, "fuzz", &err) != ST_OK) {
        CHECK(err.text[0] != '\0' && file.entry == NULL);
        return 0;
    }
    for (size_t i = 0; i < file.n_entries; i++) {
        const struct safetensors_entry *e = &file.entry[i];
        volatile uint8_t sink = 0;
        CHECK(e->begin <= e->end && e->end <= n_bytes - file.data_at);
        CHECK(safetensors_find(&file, e->name) == e);
        if (e->begin < e->end)
            sink = bytes[file.data_at + e->begin] ^ bytes[file.data_at + e->end - 1];
        (void)sink;
    }
    safetensors_release(&file);
    return 0;
}
