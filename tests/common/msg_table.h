/*
 * msg_table.h - every field of every message once more, in order, for the tests
 * of msg.h: what the field lists of the codec are compared with.
 */
#ifndef TESTS_COMMON_MSG_TABLE_H
#define TESTS_COMMON_MSG_TABLE_H

#include <stddef.h>

#include "common/msg.h"

enum field_kind { KIND_U32, KIND_U64, KIND_I32, KIND_F64, KIND_BOOL, KIND_TEXT, KIND_ARRAY };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset; /* in the message's struct */
    size_t size;
    uint32_t limit; /* values stay below it; 0: no limit */
};

#define KIND_OF(x)                                                                                 \
    _Generic((x), uint32_t                                                                         \
             : KIND_U32, uint64_t                                                                  \
             : KIND_U64, int32_t                                                                   \
             : KIND_I32, double                                                                    \
             : KIND_F64, bool                                                                      \
             : KIND_BOOL, char *                                                                   \
             : KIND_TEXT, default                                                                  \
             : KIND_ARRAY)
#define MEMBER(word, name) (((struct msg_##word *)0)->name)
#define LIMITED(word, name, limit)                                                                 \
    {                                                                                              \
#name, KIND_OF(MEMBER(word, name)), offsetof(struct msg_##word, name),                     \
            sizeof MEMBER(word, name), limit                                                       \
    }
#define F(word, name) LIMITED(word, name, 0)

static const struct field fields_empty[] = {{0}};
static const struct field fields_error[] = {LIMITED(error, status, ST_COUNT), F(error, words)};
static const struct field fields_hello[] = {F(hello, protocol), F(hello, door_token),
                                            F(hello, page_tokens), F(hello, layout_id),
                                            F(hello, client)};
static const struct field fields_welcome[] = {F(welcome, epoch), F(welcome, arena_bytes),
                                              F(welcome, numa_node), F(welcome, numa_local_share),
                                              F(welcome, huge_page_bytes)};
static const struct field fields_create_seq[] = {
    F(create_seq, first_layer), F(create_seq, n_layers),   F(create_seq, format),
    F(create_seq, page_bytes),  F(create_seq, blob_bytes), F(create_seq, keep)};
static const struct field fields_fork_seq[] = {F(fork_seq, seq), F(fork_seq, first_layer),
                                               F(fork_seq, n_pages)};
static const struct field fields_seq[] = {F(seq, seq), F(seq, blob_offset)};
static const struct field fields_reserve[] = {F(reserve, seq), F(reserve, n_columns)};
static const struct field fields_page_map[] = {
    F(page_map, seq),         F(page_map, lease),      F(page_map, generation),
    F(page_map, first_layer), F(page_map, n_layers),   F(page_map, format),
    F(page_map, n_pages),     F(page_map, page_bytes), F(page_map, blob_offset),
    F(page_map, blob_bytes),  F(page_map, run)};
static const struct field fields_commit[] = {F(commit, lease), F(commit, blob),
                                             F(commit, blob_checksum), F(commit, checksum)};
static const struct field fields_abort[] = {F(abort, lease)};
static const struct field fields_acquire[] = {F(acquire, seq), F(acquire, verify)};
static const struct field fields_release[] = {F(release, lease)};
static const struct field fields_truncate[] = {F(truncate, seq), F(truncate, n_pages)};
static const struct field fields_drop_seq[] = {F(drop_seq, seq)};
static const struct field fields_stats[] = {
    F(stats, arena_bytes),     F(stats, used_bytes), F(stats, reserved_bytes),
    F(stats, free_bytes),      F(stats, n_seqs),     F(stats, n_leases),
    F(stats, n_reservations),  F(stats, n_clients),  F(stats, n_pages),
    F(stats, n_requests),      F(stats, n_refused),  F(stats, n_checksum_failures),
    F(stats, n_reaped_clients)};

static const struct field fields_begin[] = {F(begin, seq),
                                            F(begin, prompt),
                                            LIMITED(begin, method, METHOD_COUNT),
                                            F(begin, gamma),
                                            F(begin, gamma_draft),
                                            F(begin, gen_len),
                                            F(begin, temperature),
                                            F(begin, top_p),
                                            F(begin, seed),
                                            LIMITED(begin, acceptance, ACCEPT_COUPLED + 1),
                                            F(begin, base_pos),
                                            F(begin, next_token),
                                            F(begin, prefix_hash),
                                            F(begin, n_selected),
                                            F(begin, retrieval_pages),
                                            F(begin, retrieval_format),
                                            F(begin, retrieval_generation),
                                            F(begin, replay_draft_rate)};
static const struct field fields_propose[] = {F(propose, seq),
                                              F(propose, round),
                                              F(propose, prefix_hash),
                                              F(propose, base_pos),
                                              F(propose, token),
                                              F(propose, densities),
                                              F(propose, retrieval_generation),
                                              F(propose, draft_ns),
                                              F(propose, middle_ns),
                                              F(propose, n_middle_steps),
                                              F(propose, n_draft_proposed),
                                              F(propose, n_draft_accepted)};
static const struct field fields_verdict[] = {F(verdict, seq),
                                              F(verdict, round),
                                              LIMITED(verdict, n_accepted, MSG_MAX_ROWS + 1),
                                              F(verdict, next_token),
                                              F(verdict, base_pos),
                                              LIMITED(verdict, n_wanted, MSG_MAX_ROWS + 1),
                                              F(verdict, prefix_hash),
                                              F(verdict, retrieval_generation)};
static const struct field fields_round_key[] = {F(round_key, seq), F(round_key, round),
                                                F(round_key, prefix_hash)};

static const struct field fields_ready[] = {
    F(ready, name),          F(ready, device),           F(ready, weight_bytes),
    F(ready, n_layers),      F(ready, n_vocab),          F(ready, n_kv_heads),
    F(ready, head_dim),      F(ready, memory_gbps),      F(ready, link_gbps),
    F(ready, load_s),        F(ready, device_link_gbps), F(ready, device_node),
    F(ready, compute_gflops)};
static const struct field fields_prefill[] = {F(prefill, prompt), F(prefill, token)};
static const struct field fields_prefilled[] = {F(prefilled, prompt), F(prefilled, n_tokens),
                                                F(prefilled, seconds), F(prefilled, snapshot),
                                                F(prefilled, snapshot_bytes)};
static const struct field fields_trial[] = {F(trial, trial),
                                            F(trial, prompt),
                                            F(trial, n_prompt),
                                            F(trial, snapshot),
                                            LIMITED(trial, method, METHOD_COUNT),
                                            LIMITED(trial, acceptance, ACCEPT_COUPLED + 1),
                                            F(trial, kv_format),
                                            F(trial, gamma),
                                            F(trial, gamma_draft),
                                            F(trial, budget),
                                            F(trial, chunk),
                                            F(trial, on_chip),
                                            F(trial, resident_layers),
                                            F(trial, gen_len),
                                            F(trial, temperature),
                                            F(trial, top_p),
                                            F(trial, seed),
                                            F(trial, ignore_eos),
                                            F(trial, stream),
                                            F(trial, want_logits),
                                            F(trial, staging_layers),
                                            F(trial, replay_accepted),
                                            F(trial, replay_draft_rate)};
static const struct field fields_tokens[] = {F(tokens, trial), F(tokens, token)};
static const struct field fields_result[] = {F(result, trial),
                                             F(result, token),
                                             F(result, eos),
                                             F(result, setup_s),
                                             F(result, decode_s),
                                             F(result, rounds),
                                             F(result, proposed),
                                             F(result, accepted),
                                             F(result, draft_proposed),
                                             F(result, draft_accepted),
                                             F(result, middle_steps),
                                             F(result, accepted_at),
                                             F(result, proposed_at),
                                             F(result, draft_s),
                                             F(result, middle_s),
                                             F(result, verify_s),
                                             F(result, link_wait_s),
                                             F(result, message_s),
                                             F(result, link_bytes),
                                             F(result, n_messages),
                                             F(result, effective_resident),
                                             F(result, n_selected),
                                             F(result, kv_on_chip),
                                             F(result, kv_resident),
                                             F(result, kv_tail),
                                             F(result, kv_retrieval),
                                             F(result, kv_staging),
                                             F(result, kv_draft),
                                             F(result, kv_allocated),
                                             F(result, arena_used),
                                             F(result, k_error_prompt),
                                             F(result, k_error_generated),
                                             F(result, v_error_prompt),
                                             F(result, v_error_generated)};
static const struct field fields_forget[] = {F(forget, prompt), F(forget, snapshot)};
static const struct field fields_progress[] = {LIMITED(progress, phase, MSG_PHASE_DECODE + 1),
                                               F(progress, done), F(progress, total)};

struct message {
    enum msg_verb verb;
    const char *word;
    const struct field *field;
    size_t n_fields;
    size_t struct_size;
};

#define MESSAGE(name, w)                                                                           \
    {MSG_##name, #w, fields_##w, sizeof fields_##w / sizeof fields_##w[0], sizeof(struct msg_##w)},
static const struct message messages[] = {MSG_LIST(MESSAGE)};
#undef MESSAGE

#endif
