#include "draft_worker/pair_memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void pair_memory_release(struct pair_memory *m)
{
    if (m->retrieval != NULL)
        device_drop(m->dev, m->retrieval);
    if (m->segment.base != NULL)
        device_unregister_host(m->dev, m->segment.base);
    shm_release(&m->segment);
    *m = (struct pair_memory){.dev = m->dev};
}

enum status pair_memory_take(struct pair_memory *m, struct shm segment,
                             const struct pair_hello *hello, struct err *err)
{
    enum status st = device_register_host(m->dev, segment.base, segment.size_bytes, err);

    if (st != ST_OK) {
        shm_release(&segment);
        return err_in(err, st, "the pair's segment");
    }
    pair_memory_release(m);
    m->segment = segment;
    m->hello = *hello;
    return ST_OK;
}

float *pair_memory_slab(const struct pair_memory *m)
{
    return m->segment.base;
}

/* Share i of the table, copied: the bytes are another process's. */
static struct pair_share share_of(const struct pair_memory *m, uint32_t i)
{
    const uint8_t *table = (const uint8_t *)m->segment.base + pair_shares_offset(m->hello.n_vocab);
    struct pair_share share;

    memcpy(&share, table + i * sizeof share, sizeof share);
    return share;
}

static enum status import_retrieval(struct pair_memory *m, size_t *size_bytes, struct err *err)
{
    struct pair_share share = share_of(m, 0);
    struct device_share block;
    enum status st = ST_OK;

    if (m->hello.n_shares == 0 || share.size_bytes == 0)
        return err_set(err, ST_INVALID, "verify was started without room for the retrieval KV");
    memcpy(&block, share.bytes, sizeof block);
    if (m->retrieval == NULL)
        st = device_import(m->dev, DEVICE_KV_RETRIEVAL, &block, &m->retrieval, err);
    *size_bytes = share.size_bytes;
    return st;
}

enum status pair_memory_retrieval(struct pair_memory *m, void **out, size_t *size_bytes,
                                  bool *is_device, struct err *err)
{
    size_t offset = pair_retrieval_offset(m->hello.n_vocab);
    bool in_segment = m->hello.memory == PAIR_IN_SEGMENT;
    enum status st;

    if (m->hello.memory == PAIR_PRIVATE)
        return err_set(err, ST_UNSUPPORTED,
                       "verify's device cannot share its memory with another process, and the "
                       "middle level reads it; CUDA IPC has to be allowed: run both workers in "
                       "one container, with --ipc=host");
    if (in_segment != device_shares_host(m->dev))
        return err_set(err, ST_UNSUPPORTED,
                       "the retrieval KV lies in %s memory, which %s does not read: verify and "
                       "draft both on cpu or both on cuda would be right",
                       in_segment ? "host" : "device", device_describe(m->dev));
    *is_device = !in_segment;
    if (in_segment) {
        *out = (uint8_t *)m->segment.base + offset;
        *size_bytes = m->segment.size_bytes - offset;
        return ST_OK;
    }
    st = import_retrieval(m, size_bytes, err);
    *out = m->retrieval;
    return st == ST_OK ? ST_OK : err_in(err, st, "opening verify's retrieval KV");
}

enum status pair_memory_target(const struct pair_memory *m, const char *dir, struct model **out,
                               struct err *err)
{
    uint32_t n = m->hello.memory == PAIR_ON_DEVICE ? m->hello.n_shares - 1 : 0;
    struct model_share *file = mem_array(n + 1, sizeof *file);
    struct model_shares shares = {file, n, m->hello.fingerprint};
    enum status st;

    for (uint32_t i = 0; i < n; i++) {
        struct pair_share share = share_of(m, 1 + i);
        memcpy(&file[i].share, share.bytes, sizeof share.bytes);
        file[i].size_bytes = share.size_bytes;
    }
    if (n == 0)
        st = err_set(err, ST_UNSUPPORTED,
                     "verify's device cannot share its memory with another "
                     "process");
    else
        st = model_open_shared(out, m->dev, dir, &shares, err);
    free(file);
    return st == ST_OK ? ST_OK : err_in(err, st, "opening verify's weights");
}
