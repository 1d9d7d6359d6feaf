#include "kvstore/door_token.h"

enum { TOKEN_BYTES = 24 };

static void put_u64(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

void door_token_pack(const struct door_token *t, int arena_fd, struct door_packet *out)
{
    *out = (struct door_packet){.n_bytes = TOKEN_BYTES, .n_fds = 1};
    put_u64(out->bytes, t->token);
    put_u64(out->bytes + 8, t->epoch);
    put_u64(out->bytes + 16, t->arena_bytes);
    out->fd[0] = arena_fd;
}

enum status door_token_unpack(struct door_token *out, const struct door_packet *packet,
                              struct err *err)
{
    if (packet->n_bytes != TOKEN_BYTES || packet->n_fds != 1)
        return err_set(err, ST_CORRUPT,
                       "the store's door gave %u bytes and %u descriptors, not %d and 1",
                       packet->n_bytes, packet->n_fds, TOKEN_BYTES);
    out->token = get_u64(packet->bytes);
    out->epoch = get_u64(packet->bytes + 8);
    out->arena_bytes = get_u64(packet->bytes + 16);
    return ST_OK;
}
