#include "common/msg.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/msg_fields.h"

/* Offsets in the header. */
enum {
    AT_MAGIC = 0,    /* u32 */
    AT_VERSION = 4,  /* u16 */
    AT_VERB = 6,     /* u16 */
    AT_REQUEST = 8,  /* u64 */
    AT_EPOCH = 16,   /* u64 */
    AT_LENGTH = 24,  /* u32, of the body */
    AT_RESERVED = 28 /* u32, zero */
};

static void put_le(uint8_t *at, uint64_t v, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, size_t n_bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n_bytes; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

const char *msg_verb_name(enum msg_verb verb)
{
    static const char *const names[MSG_VERB_COUNT] = {
#define MSG_NAME(verb, word) [MSG_##verb] = #verb,
        MSG_LIST(MSG_NAME)
#undef MSG_NAME
    };

    return (unsigned)verb < MSG_VERB_COUNT ? names[verb] : "unknown verb";
}

static void code_body(struct coder *c, struct msg *msg)
{
    switch (msg->verb) {
#define MSG_CASE(verb, word)                                                                       \
    case MSG_##verb:                                                                               \
        code_##word(c, &msg->word);                                                                \
        break;
        MSG_LIST(MSG_CASE)
#undef MSG_CASE
    case MSG_VERB_COUNT:
        break;
    }
}

enum status msg_pack(const struct msg *msg, uint8_t **bytes, size_t *n_bytes, struct err *err)
{
    /* The field lists serve the reader too and so take no const; a writer
     * changes nothing but a count over its maximum, in this copy. */
    struct msg copy = *msg;
    struct coder c;
    uint8_t *out;
    enum status st;

    CHECK((unsigned)msg->verb < MSG_VERB_COUNT);
    coder_init_writer(&c);
    code_body(&c, &copy);
    st = coder_finish(&c, msg_verb_name(msg->verb), err);
    if (st == ST_OK && c.n_out > MSG_MAX_BYTES - MSG_HEADER_BYTES)
        st = err_set(err, ST_INVALID, "%s: %zu bytes are more than the %d of a message",
                     msg_verb_name(msg->verb), c.n_out, MSG_MAX_BYTES);
    if (st != ST_OK) {
        coder_release(&c);
        return st;
    }
    out = mem_alloc(MSG_HEADER_BYTES + c.n_out);
    put_le(out + AT_MAGIC, MSG_MAGIC, 4);
    put_le(out + AT_VERSION, MSG_VERSION, 2);
    put_le(out + AT_VERB, (uint64_t)msg->verb, 2);
    put_le(out + AT_REQUEST, msg->request, 8);
    put_le(out + AT_EPOCH, msg->epoch, 8);
    put_le(out + AT_LENGTH, c.n_out, 4);
    put_le(out + AT_RESERVED, 0, 4);
    memcpy(out + MSG_HEADER_BYTES, c.out, c.n_out);
    *bytes = out;
    *n_bytes = MSG_HEADER_BYTES + c.n_out;
    coder_release(&c);
    return ST_OK;
}

static enum status read_header(struct msg *msg, const uint8_t *bytes, size_t n_bytes,
                               struct err *err)
{
    uint64_t version, verb, n_body;

    if (n_bytes < MSG_HEADER_BYTES || n_bytes > MSG_MAX_BYTES)
        return err_set(err, ST_CORRUPT, "a message of %zu bytes: %d .. %d are possible", n_bytes,
                       MSG_HEADER_BYTES, MSG_MAX_BYTES);
    if (get_le(bytes + AT_MAGIC, 4) != MSG_MAGIC)
        return err_set(err, ST_CORRUPT, "not a message: it starts with %08llx",
                       (unsigned long long)get_le(bytes + AT_MAGIC, 4));
    version = get_le(bytes + AT_VERSION, 2);
    if (version != MSG_VERSION)
        return err_set(err, ST_VERSION, "a message of version %llu where %d is spoken",
                       (unsigned long long)version, MSG_VERSION);
    verb = get_le(bytes + AT_VERB, 2);
    if (verb >= MSG_VERB_COUNT)
        return err_set(err, ST_CORRUPT, "a message with verb %llu: the last one is %d",
                       (unsigned long long)verb, MSG_VERB_COUNT - 1);
    n_body = get_le(bytes + AT_LENGTH, 4);
    if (n_body != n_bytes - MSG_HEADER_BYTES || get_le(bytes + AT_RESERVED, 4) != 0)
        return err_set(err, ST_CORRUPT, "%s: its header announces %llu bytes and %zu follow",
                       msg_verb_name((enum msg_verb)verb), (unsigned long long)n_body,
                       n_bytes - MSG_HEADER_BYTES);
    msg->verb = (enum msg_verb)verb;
    msg->request = get_le(bytes + AT_REQUEST, 8);
    msg->epoch = get_le(bytes + AT_EPOCH, 8);
    return ST_OK;
}

enum status msg_unpack(struct msg *out, const uint8_t *bytes, size_t n_bytes, struct err *err)
{
    struct msg msg;
    struct coder c;
    enum status st;

    memset(&msg, 0, sizeof msg);
    st = read_header(&msg, bytes, n_bytes, err);
    if (st != ST_OK)
        return st;
    coder_init_reader(&c, bytes + MSG_HEADER_BYTES, n_bytes - MSG_HEADER_BYTES);
    code_body(&c, &msg);
    st = coder_finish(&c, msg_verb_name(msg.verb), err);
    if (st != ST_OK) {
        msg_release(&msg);
        return st;
    }
    *out = msg;
    return ST_OK;
}

void msg_release(struct msg *msg)
{
    switch (msg->verb) {
    case MSG_RESERVED:
    case MSG_PAGE_MAP:
        free(msg->page_map.run);
        break;
    case MSG_COMMIT:
        free(msg->commit.checksum);
        break;
    case MSG_PREFILL:
        free(msg->prefill.token);
        break;
    case MSG_TOKENS:
        free(msg->tokens.token);
        break;
    case MSG_RESULT:
        free(msg->result.token);
        break;
    default:
        break;
    }
    memset(msg, 0, sizeof *msg);
}

/* The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA'14): every step can
 * be undone, so equal hashes of equal-length prefixes that differ in one token
 * cannot happen. */
uint64_t msg_prefix_hash(uint64_t hash, int32_t token)
{
    uint64_t x = hash * 0x9e3779b97f4a7c15u + (uint32_t)token + 1;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
