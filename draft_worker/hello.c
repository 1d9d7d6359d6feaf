#include "draft_worker/hello.h"

#include <string.h>

#include "common/door.h"

static enum status check(const struct pair_hello *hello, uint32_t n_vocab, struct err *err)
{
    if (hello->version != MSG_VERSION)
        return err_set(err, ST_VERSION, "verify speaks version %u, draft %u", hello->version,
                       (unsigned)MSG_VERSION);
    if (hello->n_vocab != n_vocab)
        return err_set(err, ST_INVALID,
                       "the draft's vocabulary has %u tokens, the target's %u: they must be equal",
                       n_vocab, hello->n_vocab);
    if (hello->segment_bytes < pair_retrieval_offset(n_vocab))
        return err_set(err, ST_CORRUPT, "the shared segment has no room for %u tokens", n_vocab);
    if (hello->memory >= PAIR_MEMORY_KINDS || hello->n_shares > PAIR_MAX_SHARES ||
        (hello->memory == PAIR_ON_DEVICE) != (hello->n_shares > 0))
        return err_set(err, ST_CORRUPT, "memory of kind %u with %u shares", hello->memory,
                       hello->n_shares);
    return ST_OK;
}

/* The answer goes out also where the models do not fit: verify tells the
 * orchestrator. */
static enum status answer(const struct hello_args *args, struct err *err)
{
    struct pair_answer words = {args->kv_bytes, args->n_vocab, MSG_VERSION};
    struct door_packet packet = {.n_bytes = sizeof words};

    memcpy(packet.bytes, &words, sizeof words);
    return door_send(args->door_fd, &packet, err);
}

enum status hello_receive(struct shm *segment, struct pair_hello *hello,
                          const struct hello_args *args, struct err *err)
{
    struct shm got = {.fd = -1};
    struct door_packet packet;
    struct pair_hello words;
    enum status st;

    st = door_recv(args->door_fd, &packet, 0, err);
    if (st != ST_OK)
        return st == ST_TIMEOUT ? ST_OK : st;
    if (packet.n_bytes != sizeof words || packet.n_fds != 1) {
        for (uint32_t i = 0; i < packet.n_fds; i++)
            door_close(packet.fd[i]);
        return err_set(err, ST_VERSION, "verify's hello has %u bytes and %u descriptors",
                       packet.n_bytes, packet.n_fds);
    }
    memcpy(&words, packet.bytes, sizeof words);
    st = shm_attach(&got, packet.fd[0], words.segment_bytes, err);
    if (st == ST_OK)
        st = answer(args, err);
    if (st == ST_OK)
        st = check(&words, args->n_vocab, err);
    if (st != ST_OK) {
        shm_release(&got);
        return err_in(err, st, "the hello of verify");
    }
    *segment = got;
    *hello = words;
    return ST_OK;
}
