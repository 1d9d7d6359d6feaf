/*
 * msg_sample.h - a message of every verb with every field set, for the tests of
 * msg.h.
 */
#ifndef TESTS_COMMON_MSG_SAMPLE_H
#define TESTS_COMMON_MSG_SAMPLE_H

#include "common/mem.h"
#include "tests/common/msg_table.h"

enum { N_MESSAGES = sizeof messages / sizeof messages[0], N_ITEMS = 3 };

static size_t count_fields(const struct message *m)
{
    return strcmp(m->word, "empty") == 0 ? 0 : m->n_fields;
}

static uint8_t *body_of(struct msg *msg)
{
    return (uint8_t *)&msg->empty;
}

/* ---- a message with every field set ---- */

static void fill_number(uint8_t *at, const struct field *f, size_t i)
{
    static const uint64_t bases[] = {1, 200, 0x1200, 0x12345600};
    uint32_t u32 = f->limit > 0 ? f->limit - 1 : (uint32_t)(bases[i % 4] + i);
    uint64_t u64 = i % 3 == 0 ? 0x1122334455667700u + i : bases[i % 4] + i;
    static const int32_t signed_bases[] = {-1, -100, -1000, -100000};
    int32_t i32 = signed_bases[i % 4] - (int32_t)i;
    double f64 = (double)i + 0.5;

    if (f->kind == KIND_U32)
        memcpy(at, &u32, sizeof u32);
    if (f->kind == KIND_U64)
        memcpy(at, &u64, sizeof u64);
    if (f->kind == KIND_I32)
        memcpy(at, &i32, sizeof i32);
    if (f->kind == KIND_F64)
        memcpy(at, &f64, sizeof f64);
    if (f->kind == KIND_BOOL)
        *at = true;
    if (f->kind == KIND_TEXT)
        snprintf((char *)at, f->size, "words of field %zu", i);
}

static int32_t *new_tokens(uint32_t *n)
{
    int32_t *token = mem_array(N_ITEMS, sizeof *token);

    *n = N_ITEMS;
    token[0] = 1;
    token[1] = -2;
    token[2] = 300000;
    return token;
}

static void fill_page_map(struct msg_page_map *m)
{
    m->n_runs = N_ITEMS;
    m->run = mem_array(N_ITEMS, sizeof *m->run);
    for (uint32_t i = 0; i < N_ITEMS; i++)
        m->run[i] = (struct msg_page_run){i + 1, 200 + i, 70000 + i, (1ull << 40) + i};
}

static void fill_arrays(struct msg *msg)
{
    static const int32_t proposed[N_ITEMS] = {5, -6, 128000};

    if (msg->verb == MSG_PREFILL)
        msg->prefill.token = new_tokens(&msg->prefill.n_tokens);
    if (msg->verb == MSG_TOKENS)
        msg->tokens.token = new_tokens(&msg->tokens.n_tokens);
    if (msg->verb == MSG_RESERVED || msg->verb == MSG_PAGE_MAP)
        fill_page_map(&msg->page_map);
    if (msg->verb == MSG_COMMIT) {
        msg->commit.n_checksums = N_ITEMS;
        msg->commit.checksum = mem_array(N_ITEMS, sizeof(uint64_t));
        for (uint64_t i = 0; i < N_ITEMS; i++)
            msg->commit.checksum[i] = 0xfedcba9876543210u - i;
    }
    if (msg->verb == MSG_PROPOSE) {
        msg->propose.n_tokens = N_ITEMS;
        memcpy(msg->propose.token, proposed, sizeof proposed);
    }
    if (msg->verb != MSG_RESULT)
        return;
    msg->result.token = new_tokens(&msg->result.n_tokens);
    for (uint32_t i = 0; i < MSG_MAX_ROWS; i++) {
        msg->result.accepted_at[i] = 100 + i;
        msg->result.proposed_at[i] = 1000 + i;
    }
}

static void fill(struct msg *msg, const struct message *m)
{
    memset(msg, 0, sizeof *msg);
    msg->verb = m->verb;
    msg->request = 0x0102030405060708u;
    msg->epoch = 0x1112131415161718u;
    for (size_t i = 0; i < count_fields(m); i++)
        fill_number(body_of(msg) + m->field[i].offset, &m->field[i], i);
    fill_arrays(msg);
}

static uint8_t *pack_sample(const struct message *m, size_t *n_bytes)
{
    struct msg msg;
    struct err err = {{0}};
    uint8_t *bytes = NULL;

    fill(&msg, m);
    if (msg_pack(&msg, &bytes, n_bytes, &err) != ST_OK)
        fail_msg("%s: %s", msg_verb_name(m->verb), err.text);
    msg_release(&msg);
    return bytes;
}

#endif
