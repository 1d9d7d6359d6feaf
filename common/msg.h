/*
 * msg.h - every message of the system: plain structs, one list of fields each.
 *
 * Wire form: a 32-byte little-endian header, then a msgpack array of fields in
 * the order of the struct. Bulk data never travels here: KV pages, densities
 * and weights lie in shared memory, and a message names them by offset. Token
 * ids are the one array (a prompt of 131072 ids is 512 KiB).
 *
 * Rules: verb numbers and fields are append only; any change of a field list
 * raises MSG_VERSION (the golden-bytes tests say so).
 */
#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "common/method.h"
#include "common/status.h"

enum {
    MSG_MAGIC = 0x564b534d, /* "MSKV" */
    MSG_VERSION = 3,
    MSG_HEADER_BYTES = 32,
    MSG_MAX_BYTES = 1 << 20,
    MSG_MAX_TOKENS = 200 * 1024, /* prompt or output of one message */
    MSG_MAX_ROWS = 33,           /* gamma + 1 */
    MSG_MAX_LAYERS = 256,
    MSG_MAX_RUNS = 8192, /* page runs in one map, all layers */
    MSG_TEXT = 512       /* holds every struct err */
};

/* Verb, struct word. A store verb is answered by the verb of what it gives, or
 * by DONE; MSG_ERROR answers any request that failed. */
#define MSG_LIST(X)                                                                                \
    X(ERROR, error)                                                                                \
    /* store: worker -> kvstore, and the replies */                                                \
    X(HELLO, hello)                                                                                \
    X(WELCOME, welcome)                                                                            \
    X(CREATE_SEQ, create_seq)                                                                      \
    X(FORK_SEQ, fork_seq)                                                                          \
    X(SEQ, seq)                                                                                    \
    X(RESERVE, reserve)                                                                            \
    X(RESERVED, page_map)                                                                          \
    X(COMMIT, commit)                                                                              \
    X(ABORT, abort)                                                                                \
    X(ACQUIRE, acquire)                                                                            \
    X(PAGE_MAP, page_map)                                                                          \
    X(RELEASE, release)                                                                            \
    X(TRUNCATE, truncate)                                                                          \
    X(DROP_SEQ, drop_seq)                                                                          \
    X(STATS, empty)                                                                                \
    X(STATS_REPLY, stats)                                                                          \
    X(PING, empty)                                                                                 \
    X(DRAIN, empty)                                                                                \
    X(BYE, empty)                                                                                  \
    X(DONE, empty)                                                                                 \
    /* draft <-> verify, keyed by (seq, round, hash of the accepted prefix) */                     \
    X(BEGIN, begin)                                                                                \
    X(PROPOSE, propose)                                                                            \
    X(VERDICT, verdict)                                                                            \
    X(RESYNC, round_key)                                                                           \
    X(CANCEL, round_key)                                                                           \
    X(END, round_key)                                                                              \
    /* control: orchestrator <-> processes */                                                      \
    X(READY, ready)                                                                                \
    X(PREFILL, prefill)                                                                            \
    X(PREFILLED, prefilled)                                                                        \
    X(TRIAL, trial)                                                                                \
    X(TOKENS, tokens)                                                                              \
    X(RESULT, result)                                                                              \
    X(FORGET, forget)                                                                              \
    X(PROGRESS, progress)                                                                          \
    X(QUIT, empty)

enum msg_verb {
#define MSG_ENUM(verb, word) MSG_##verb,
    MSG_LIST(MSG_ENUM)
#undef MSG_ENUM
        MSG_VERB_COUNT
};

struct msg_empty {
    bool unused; /* C has no empty struct; not on the wire */
};

struct msg_error {
    uint32_t status; /* enum status */
    char words[MSG_TEXT];
};

/* ---- store ---- */

/* First message of a client. `door_token` came with the arena descriptor over
 * the door and ties the ZeroMQ peer to the door connection. */
struct msg_hello {
    uint32_t protocol; /* MSG_VERSION */
    uint64_t door_token;
    uint32_t page_tokens; /* PAGE_TOKENS of the client's kernels */
    uint32_t layout_id;   /* KV_LAYOUT_ID of the client's kernels; refused if different */
    char client[32];
};

struct msg_welcome {
    uint64_t epoch; /* of this store process; every later message carries it */
    uint64_t arena_bytes;
    uint32_t numa_node;       /* UINT32_MAX: not bound */
    double numa_local_share;  /* -1: unknown */
    uint32_t huge_page_bytes; /* page size obtained, for the manifest */
};

/* A sequence holds pages of layers first_layer .. n_layers-1, all of one
 * format, and an optional blob (tail, queries, logits of a snapshot). */
struct msg_create_seq {
    uint32_t first_layer, n_layers;
    uint32_t format;     /* enum kv_format; opaque to the store */
    uint64_t page_bytes; /* one layer's page, multiple of 64 */
    uint64_t blob_bytes; /* 0: none */
    bool keep;           /* survives the client: a snapshot. Else dropped at its end */
};

/* A new sequence that shares the first n_pages pages of layers >= first_layer;
 * checksums of shared pages are verified. */
struct msg_fork_seq {
    uint64_t seq;
    uint32_t first_layer;
    uint32_t n_pages;
};

struct msg_seq {
    uint64_t seq;
    uint64_t blob_offset; /* in the arena */
};

struct msg_reserve {
    uint64_t seq;
    uint32_t n_columns; /* page columns: one page of every layer each */
};

/* Contiguous pages of one layer: page first_page + i lies at offset +
 * i * page_bytes of the arena. */
struct msg_page_run {
    uint32_t layer;
    uint32_t first_page;
    uint32_t n_pages;
    uint64_t offset;
};

/* Answer to RESERVE (the new pages; `lease` names the reservation) and to
 * ACQUIRE (all committed pages; `lease` names the lease). */
struct msg_page_map {
    uint64_t seq;
    uint64_t lease;
    uint64_t generation;
    uint32_t first_layer, n_layers, format, n_pages; /* n_pages: committed columns */
    uint64_t page_bytes, blob_offset, blob_bytes;
    uint32_t n_runs;
    struct msg_page_run *run; /* [n_runs], owned by the message */
};

/* All pages of the reservation at once. checksum: XXH3-64 of page_bytes each,
 * column by column, layers ascending within a column; blob_checksum counts
 * only with blob = true (sealed once). */
struct msg_commit {
    uint64_t lease;
    bool blob;
    uint64_t blob_checksum;
    uint32_t n_checksums;
    uint64_t *checksum; /* owned */
};

struct msg_abort {
    uint64_t lease;
};

struct msg_acquire {
    uint64_t seq;
    bool verify; /* check every checksum first */
};

struct msg_release {
    uint64_t lease;
};

struct msg_truncate {
    uint64_t seq;
    uint32_t n_pages;
};

struct msg_drop_seq {
    uint64_t seq;
};

struct msg_stats {
    uint64_t arena_bytes, used_bytes, reserved_bytes, free_bytes;
    uint32_t n_seqs, n_leases, n_reservations, n_clients;
    uint64_t n_pages, n_requests, n_refused, n_checksum_failures, n_reaped_clients;
};

/* ---- draft <-> verify ---- */

/* verify -> draft: a trial starts. The prompt was given to draft by PREFILL. */
struct msg_begin {
    uint64_t seq; /* trial number */
    uint32_t prompt;
    uint32_t method; /* enum method */
    uint32_t gamma, gamma_draft;
    uint32_t gen_len;
    double temperature, top_p;
    uint64_t seed;
    uint32_t acceptance; /* enum acceptance */
    uint32_t base_pos;   /* tokens whose KV stands; the next token follows */
    int32_t next_token;
    uint64_t prefix_hash;
    /* retrieval KV of the middle level; n_selected 0 without one */
    uint32_t n_selected; /* slots before the recent region */
    uint32_t retrieval_pages;
    uint32_t retrieval_format;
    uint64_t retrieval_generation;
    double replay_draft_rate; /* replay.h: the middle level takes this share; 0: it judges */
};

struct msg_propose {
    uint64_t seq;
    uint32_t round;
    uint64_t prefix_hash; /* of the tokens before the proposal */
    uint32_t base_pos;
    uint32_t n_tokens;
    int32_t token[MSG_MAX_ROWS];
    /* densities: rows 0 .. n_tokens-1 of the slab, when acceptance needs them */
    bool densities;
    uint64_t retrieval_generation;
    /* the draft's own times and counts of this round */
    uint64_t draft_ns, middle_ns;
    uint32_t n_middle_steps, n_draft_proposed, n_draft_accepted;
};

struct msg_verdict {
    uint64_t seq;
    uint32_t round;
    uint32_t n_accepted;
    int32_t next_token;   /* follows the accepted ones; its KV does not stand yet */
    uint32_t base_pos;    /* tokens whose KV stands now */
    uint32_t n_wanted;    /* tokens the next proposal may have; 0: the trial is over */
    uint64_t prefix_hash; /* over everything up to and including next_token */
    uint64_t retrieval_generation;
};

/* RESYNC: the sender's prefix differs from what it was told. CANCEL, END. */
struct msg_round_key {
    uint64_t seq;
    uint32_t round;
    uint64_t prefix_hash;
};

/* ---- control ---- */

/* worker -> orchestrator, once it can serve. */
struct msg_ready {
    char name[32];
    char device[64];
    uint64_t weight_bytes;
    uint32_t n_layers, n_vocab, n_kv_heads, head_dim;
    double memory_gbps; /* measured by verify; 0 elsewhere */
    double link_gbps;   /* simulated; 0: no such link */
    double load_s;
    double device_link_gbps; /* measured from pinned host memory to the device; 0: none */
    uint32_t device_node;    /* NUMA node that the device hangs on; UINT32_MAX: unknown, none */
    double compute_gflops;   /* of verify's own products, measured; 0 elsewhere */
};

struct msg_prefill {
    uint32_t prompt; /* a number the orchestrator chooses */
    uint32_t n_tokens;
    int32_t *token; /* owned */
};

struct msg_prefilled {
    uint32_t prompt;
    uint32_t n_tokens;
    double seconds;
    uint64_t snapshot; /* the store's sequence; 0 from draft */
    uint64_t snapshot_bytes;
};

/* One decode. The same struct reaches verify whatever the method. */
struct msg_trial {
    uint64_t trial;
    uint32_t prompt;
    uint32_t n_prompt;
    uint64_t snapshot;
    uint32_t method;     /* enum method */
    uint32_t acceptance; /* enum acceptance */
    uint32_t kv_format;  /* enum kv_format of pages below on_chip */
    uint32_t gamma, gamma_draft, budget, chunk;
    uint32_t on_chip, resident_layers;
    uint32_t gen_len;
    double temperature, top_p;
    uint64_t seed;
    bool ignore_eos;
    bool stream;             /* send TOKENS as they come */
    bool want_logits;        /* tests: append the rows to the logits file */
    uint32_t staging_layers; /* slots of the ring, in layers; 0: default */
    /* replay.h: mean accepted proposals of a verification, and the middle
     * level's rate; 0: what is accepted is found out. */
    double replay_accepted, replay_draft_rate;
};

struct msg_tokens {
    uint64_t trial;
    uint32_t n_tokens;
    int32_t *token; /* owned */
};

/* Bytes on the device by use, and phase times, of one trial. */
struct msg_result {
    uint64_t trial;
    uint32_t n_tokens;
    int32_t *token; /* owned */
    bool eos;       /* ended by an accepted end-of-text token */
    double setup_s, decode_s;
    uint32_t rounds, proposed, accepted;
    uint32_t draft_proposed, draft_accepted, middle_steps;
    uint32_t accepted_at[MSG_MAX_ROWS]; /* rounds whose proposal i was accepted */
    uint32_t proposed_at[MSG_MAX_ROWS];
    double draft_s, middle_s, verify_s, link_wait_s, message_s;
    uint64_t link_bytes, n_messages;
    uint32_t effective_resident, n_selected;
    uint64_t kv_on_chip, kv_resident, kv_tail, kv_retrieval, kv_staging, kv_draft; /* bytes */
    uint64_t kv_allocated; /* the allocator's own count of the same, for the check */
    uint64_t arena_used;
    double k_error_prompt, k_error_generated; /* relative RMS of sealed pages; -1: none sealed */
    double v_error_prompt, v_error_generated;
};

struct msg_forget {
    uint32_t prompt;
    uint64_t snapshot;
};

struct msg_progress {
    uint32_t phase; /* enum msg_phase */
    uint64_t done, total;
};
enum msg_phase { MSG_PHASE_LOAD, MSG_PHASE_PREFILL, MSG_PHASE_SETUP, MSG_PHASE_DECODE };

/* ---- a message ---- */

struct msg {
    enum msg_verb verb;
    uint64_t request; /* replies carry the request's number */
    uint64_t epoch;   /* of the store; 0 where there is none */
    union {
        struct msg_empty empty;
        struct msg_error error;
        struct msg_hello hello;
        struct msg_welcome welcome;
        struct msg_create_seq create_seq;
        struct msg_fork_seq fork_seq;
        struct msg_seq seq;
        struct msg_reserve reserve;
        struct msg_page_map page_map;
        struct msg_commit commit;
        struct msg_abort abort;
        struct msg_acquire acquire;
        struct msg_release release;
        struct msg_truncate truncate;
        struct msg_drop_seq drop_seq;
        struct msg_stats stats;
        struct msg_begin begin;
        struct msg_propose propose;
        struct msg_verdict verdict;
        struct msg_round_key round_key;
        struct msg_ready ready;
        struct msg_prefill prefill;
        struct msg_prefilled prefilled;
        struct msg_trial trial;
        struct msg_tokens tokens;
        struct msg_result result;
        struct msg_forget forget;
        struct msg_progress progress;
    };
};

const char *msg_verb_name(enum msg_verb verb); /* "PROPOSE" */

/* Packs header and body; *bytes is owned by the caller: free(). */
enum status msg_pack(const struct msg *msg, uint8_t **bytes, size_t *n_bytes, struct err *err);
/* Trusts nothing. ST_CORRUPT or ST_VERSION; on ST_OK the caller releases. */
enum status msg_unpack(struct msg *out, const uint8_t *bytes, size_t n_bytes, struct err *err);
void msg_release(struct msg *msg); /* frees what it owns; a zeroed msg is fine */

/* Running hash of a token sequence, for prefix_hash: h' = mix(h, token). */
uint64_t msg_prefix_hash(uint64_t hash, int32_t token);

#endif
