#include "common/trace_message.h"

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < n; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3U;
    return hash;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    size_t n = 0;

    while (text[n] != '\0')
        n++;
    return mix(hash, text, n + 1); /* the end counts: "ab", "c" is not "a", "bc" */
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    return mix(hash, &number, sizeof number);
}

/* A draft that died leaves proposals that nobody got: the round keeps those of
 * the next from being taken for them. */
static uint64_t mix_round(uint64_t hash, const struct msg *msg)
{
    switch (msg->verb) {
    case MSG_BEGIN:
        return mix_number(hash, msg->begin.seq);
    case MSG_PROPOSE:
        return mix_number(mix_number(hash, msg->propose.seq), msg->propose.round);
    case MSG_VERDICT:
        return mix_number(mix_number(hash, msg->verdict.seq), msg->verdict.round);
    case MSG_PROGRESS:
        return mix_number(hash, msg->progress.done);
    default:
        return hash;
    }
}

void trace_message(enum trace_kind kind, uint64_t begin_ns, const struct msg *msg,
                   const struct trace_route *route)
{
    uint64_t hash = 0xcbf29ce484222325U;

    hash = mix_text(mix_text(hash, route->path), route->client);
    hash = mix_number(mix_number(hash, (uint64_t)msg->verb), msg->request);
    hash = mix_round(hash, msg);
    trace_put(kind, msg->verb, begin_ns, hash, 0);
}
