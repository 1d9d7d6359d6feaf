/*
 * Field lists of the messages between draft and verify.
 */
#include "common/msg_fields.h"

void code_begin(struct coder *c, struct msg_begin *m)
{
    msg_fields(c, 18);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "prompt", &m->prompt);
    msg_below(c, "method", &m->method, METHOD_COUNT);
    code_u32(c, "gamma", &m->gamma);
    code_u32(c, "gamma_draft", &m->gamma_draft);
    code_u32(c, "gen_len", &m->gen_len);
    code_f64(c, "temperature", &m->temperature);
    code_f64(c, "top_p", &m->top_p);
    code_u64(c, "seed", &m->seed);
    msg_below(c, "acceptance", &m->acceptance, ACCEPT_COUPLED + 1);
    code_u32(c, "base_pos", &m->base_pos);
    code_i32(c, "next_token", &m->next_token);
    code_u64(c, "prefix_hash", &m->prefix_hash);
    code_u32(c, "n_selected", &m->n_selected);
    code_u32(c, "retrieval_pages", &m->retrieval_pages);
    code_u32(c, "retrieval_format", &m->retrieval_format);
    code_u64(c, "retrieval_generation", &m->retrieval_generation);
    code_f64(c, "replay_draft_rate", &m->replay_draft_rate);
}

void code_propose(struct coder *c, struct msg_propose *m)
{
    msg_fields(c, 12);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "round", &m->round);
    code_u64(c, "prefix_hash", &m->prefix_hash);
    code_u32(c, "base_pos", &m->base_pos);
    code_count(c, "token", &m->n_tokens, MSG_MAX_ROWS);
    for (uint32_t i = 0; i < m->n_tokens; i++)
        code_i32(c, "token", &m->token[i]);
    code_bool(c, "densities", &m->densities);
    code_u64(c, "retrieval_generation", &m->retrieval_generation);
    code_u64(c, "draft_ns", &m->draft_ns);
    code_u64(c, "middle_ns", &m->middle_ns);
    code_u32(c, "n_middle_steps", &m->n_middle_steps);
    code_u32(c, "n_draft_proposed", &m->n_draft_proposed);
    code_u32(c, "n_draft_accepted", &m->n_draft_accepted);
}

void code_verdict(struct coder *c, struct msg_verdict *m)
{
    msg_fields(c, 8);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "round", &m->round);
    msg_below(c, "n_accepted", &m->n_accepted, MSG_MAX_ROWS + 1);
    code_i32(c, "next_token", &m->next_token);
    code_u32(c, "base_pos", &m->base_pos);
    msg_below(c, "n_wanted", &m->n_wanted, MSG_MAX_ROWS + 1);
    code_u64(c, "prefix_hash", &m->prefix_hash);
    code_u64(c, "retrieval_generation", &m->retrieval_generation);
}

void code_round_key(struct coder *c, struct msg_round_key *m)
{
    msg_fields(c, 3);
    code_u64(c, "seq", &m->seq);
    code_u32(c, "round", &m->round);
    code_u64(c, "prefix_hash", &m->prefix_hash);
}
