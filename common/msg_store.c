/*
 * Field lists of the messages between workers and kvstore.
 */
#include <stdlib.h>

#include "common/mem.h"
#include "common/msg_fields.h"

/* As many as a message holds beside its other fields; also a column of every
 * layer of the largest prompt. */
enum { MAX_CHECKSUMS = MSG_MAX_TOKENS / 2 };

/* Array header and four numbers of one byte. */
enum { LEAST_RUN_BYTES = 5 };

void code_hello(struct coder *c, struct msg_hello *m)
{
    msg_fields(c, 5);
    code_u32(c, "protocol", &m->protocol);
    code_u64(c, "door_token", &m->door_token);
    code_u32(c, "page_tokens", &m->page_tokens);
    code_u32(c, "layout_id", &m->layout_id);
    code_text(c, "client", m->client, sizeof m->client);
}

void code_welcome(struct coder *c, struct msg_welcome *m)
{
    msg_fields(c, 5);
    code_u64(c, "epoch", &m->epoch);
    code_u64(c, "arena_bytes", &m->arena_bytes);
    code_u32(c, "numa_node", &m->numa_node);
    code_f64(c, "numa_local_share", &m->numa_local_share);
    code_u32(c, "huge_page_bytes", &m->huge_page_bytes);
}

void code_create_seq(struct coder *c, struct msg_create_seq *m)
{
    msg_fields(c, 6);
    code_u32(c, "first_layer", &m->first_layer);
    code_u32(c, "n_layers", &m->n_layers);
    code_u32(c, "format", &m->format);
    code_u64(c, "page_bytes", &m->page_bytes);
    code_u64(c, "blob_bytes", &m->blob_bytes);
    code_bool(c, "keep", &m->keep);
}

void code_fork_seq(struct coder *c, struct msg_fork_seq *m)
{
    msg_fields(c, 3);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "first_layer", &m->first_layer);
    code_u32(c, "n_pages", &m->n_pages);
}

void code_seq(struct coder *c, struct msg_seq *m)
{
    msg_fields(c, 2);
    code_u64(c, "seq", &m->seq);
    code_u64(c, "blob_offset", &m->blob_offset);
}

void code_reserve(struct coder *c, struct msg_reserve *m)
{
    msg_fields(c, 2);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "n_columns", &m->n_columns);
}

static void code_runs(struct coder *c, struct msg_page_map *m)
{
    code_count(c, "run", &m->n_runs, MSG_MAX_RUNS);
    if (c->reading) {
        m->run = NULL;
        if (m->n_runs > coder_left(c) / LEAST_RUN_BYTES)
            coder_fail(c, "run");
        if (c->st != ST_OK)
            m->n_runs = 0;
        else
            m->run = mem_array(m->n_runs, sizeof *m->run);
    }
    for (uint32_t i = 0; i < m->n_runs; i++) {
        msg_fields(c, 4);
        code_u32(c, "run.layer", &m->run[i].layer);
        code_u32(c, "run.first_page", &m->run[i].first_page);
        code_u32(c, "run.n_pages", &m->run[i].n_pages);
        code_u64(c, "run.offset", &m->run[i].offset);
    }
}

void code_page_map(struct coder *c, struct msg_page_map *m)
{
    msg_fields(c, 11);
    code_u64(c, "seq", &m->seq);
    code_u64(c, "lease", &m->lease);
    code_u64(c, "generation", &m->generation);
    code_u32(c, "first_layer", &m->first_layer);
    code_u32(c, "n_layers", &m->n_layers);
    code_u32(c, "format", &m->format);
    code_u32(c, "n_pages", &m->n_pages);
    code_u64(c, "page_bytes", &m->page_bytes);
    code_u64(c, "blob_offset", &m->blob_offset);
    code_u64(c, "blob_bytes", &m->blob_bytes);
    code_runs(c, m);
}

void code_commit(struct coder *c, struct msg_commit *m)
{
    msg_fields(c, 4);
    code_u64(c, "lease", &m->lease);
    code_bool(c, "blob", &m->blob);
    code_u64(c, "blob_checksum", &m->blob_checksum);
    code_u64_array(c, "checksum", &m->checksum, &m->n_checksums, MAX_CHECKSUMS);
}

void code_abort(struct coder *c, struct msg_abort *m)
{
    msg_fields(c, 1);
    code_u64(c, "lease", &m->lease);
}

void code_acquire(struct coder *c, struct msg_acquire *m)
{
    msg_fields(c, 2);
    code_u64(c, "seq", &m->seq);
    code_bool(c, "verify", &m->verify);
}

void code_release(struct coder *c, struct msg_release *m)
{
    msg_fields(c, 1);
    code_u64(c, "lease", &m->lease);
}

void code_truncate(struct coder *c, struct msg_truncate *m)
{
    msg_fields(c, 2);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "n_pages", &m->n_pages);
}

void code_drop_seq(struct coder *c, struct msg_drop_seq *m)
{
    msg_fields(c, 1);
    code_u64(c, "seq", &m->seq);
}

void code_stats(struct coder *c, struct msg_stats *m)
{
    msg_fields(c, 13);
    code_u64(c, "arena_bytes", &m->arena_bytes);
    code_u64(c, "used_bytes", &m->used_bytes);
    code_u64(c, "reserved_bytes", &m->reserved_bytes);
    code_u64(c, "free_bytes", &m->free_bytes);
    code_u32(c, "n_seqs", &m->n_seqs);
    code_u32(c, "n_leases", &m->n_leases);
    code_u32(c, "n_reservations", &m->n_reservations);
    code_u32(c, "n_clients", &m->n_clients);
    code_u64(c, "n_pages", &m->n_pages);
    code_u64(c, "n_requests", &m->n_requests);
    code_u64(c, "n_refused", &m->n_refused);
    code_u64(c, "n_checksum_failures", &m->n_checksum_failures);
    code_u64(c, "n_reaped_clients", &m->n_reaped_clients);
}
