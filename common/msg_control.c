/*
 * Field lists of the messages between the orchestrator and the processes, and
 * of those that carry nothing or an error.
 */
#include "common/msg_fields.h"

void code_empty(struct coder *c, struct msg_empty *m)
{
    msg_fields(c, 0);
}

void code_error(struct coder *c, struct msg_error *m)
{
    msg_fields(c, 2);
    msg_below(c, "status", &m->status, ST_COUNT);
    code_text(c, "words", m->words, sizeof m->words);
}

void code_ready(struct coder *c, struct msg_ready *m)
{
    msg_fields(c, 13);
    code_text(c, "name", m->name, sizeof m->name);
    code_text(c, "device", m->device, sizeof m->device);
    code_u64(c, "weight_bytes", &m->weight_bytes);
    code_u32(c, "n_layers", &m->n_layers);
    code_u32(c, "n_vocab", &m->n_vocab);
    code_u32(c, "n_kv_heads", &m->n_kv_heads);
    code_u32(c, "head_dim", &m->head_dim);
    code_f64(c, "memory_gbps", &m->memory_gbps);
    code_f64(c, "link_gbps", &m->link_gbps);
    code_f64(c, "load_s", &m->load_s);
    code_f64(c, "device_link_gbps", &m->device_link_gbps);
    code_u32(c, "device_node", &m->device_node);
    code_f64(c, "compute_gflops", &m->compute_gflops);
}

void code_prefill(struct coder *c, struct msg_prefill *m)
{
    msg_fields(c, 2);
    code_u32(c, "prompt", &m->prompt);
    code_i32_array(c, "token", &m->token, &m->n_tokens, MSG_MAX_TOKENS);
}

void code_prefilled(struct coder *c, struct msg_prefilled *m)
{
    msg_fields(c, 5);
    code_u32(c, "prompt", &m->prompt);
    code_u32(c, "n_tokens", &m->n_tokens);
    code_f64(c, "seconds", &m->seconds);
    code_u64(c, "snapshot", &m->snapshot);
    code_u64(c, "snapshot_bytes", &m->snapshot_bytes);
}

void code_trial(struct coder *c, struct msg_trial *m)
{
    msg_fields(c, 23);
    code_u64(c, "trial", &m->trial);
    code_u32(c, "prompt", &m->prompt);
    code_u32(c, "n_prompt", &m->n_prompt);
    code_u64(c, "snapshot", &m->snapshot);
    msg_below(c, "method", &m->method, METHOD_COUNT);
    msg_below(c, "acceptance", &m->acceptance, ACCEPT_COUPLED + 1);
    code_u32(c, "kv_format", &m->kv_format);
    code_u32(c, "gamma", &m->gamma);
    code_u32(c, "gamma_draft", &m->gamma_draft);
    code_u32(c, "budget", &m->budget);
    code_u32(c, "chunk", &m->chunk);
    code_u32(c, "on_chip", &m->on_chip);
    code_u32(c, "resident_layers", &m->resident_layers);
    code_u32(c, "gen_len", &m->gen_len);
    code_f64(c, "temperature", &m->temperature);
    code_f64(c, "top_p", &m->top_p);
    code_u64(c, "seed", &m->seed);
    code_bool(c, "ignore_eos", &m->ignore_eos);
    code_bool(c, "stream", &m->stream);
    code_bool(c, "want_logits", &m->want_logits);
    code_u32(c, "staging_layers", &m->staging_layers);
    code_f64(c, "replay_accepted", &m->replay_accepted);
    code_f64(c, "replay_draft_rate", &m->replay_draft_rate);
}

void code_tokens(struct coder *c, struct msg_tokens *m)
{
    msg_fields(c, 2);
    code_u64(c, "trial", &m->trial);
    code_i32_array(c, "token", &m->token, &m->n_tokens, MSG_MAX_TOKENS);
}

static void code_rows(struct coder *c, const char *field, uint32_t row[MSG_MAX_ROWS])
{
    msg_fields(c, MSG_MAX_ROWS);
    for (int i = 0; i < MSG_MAX_ROWS; i++)
        code_u32(c, field, &row[i]);
}

static void code_result_bytes(struct coder *c, struct msg_result *m)
{
    code_u64(c, "link_bytes", &m->link_bytes);
    code_u64(c, "n_messages", &m->n_messages);
    code_u32(c, "effective_resident", &m->effective_resident);
    code_u32(c, "n_selected", &m->n_selected);
    code_u64(c, "kv_on_chip", &m->kv_on_chip);
    code_u64(c, "kv_resident", &m->kv_resident);
    code_u64(c, "kv_tail", &m->kv_tail);
    code_u64(c, "kv_retrieval", &m->kv_retrieval);
    code_u64(c, "kv_staging", &m->kv_staging);
    code_u64(c, "kv_draft", &m->kv_draft);
    code_u64(c, "kv_allocated", &m->kv_allocated);
    code_u64(c, "arena_used", &m->arena_used);
}

void code_result(struct coder *c, struct msg_result *m)
{
    msg_fields(c, 34);
    code_u64(c, "trial", &m->trial);
    code_i32_array(c, "token", &m->token, &m->n_tokens, MSG_MAX_TOKENS);
    code_bool(c, "eos", &m->eos);
    code_f64(c, "setup_s", &m->setup_s);
    code_f64(c, "decode_s", &m->decode_s);
    code_u32(c, "rounds", &m->rounds);
    code_u32(c, "proposed", &m->proposed);
    code_u32(c, "accepted", &m->accepted);
    code_u32(c, "draft_proposed", &m->draft_proposed);
    code_u32(c, "draft_accepted", &m->draft_accepted);
    code_u32(c, "middle_steps", &m->middle_steps);
    code_rows(c, "accepted_at", m->accepted_at);
    code_rows(c, "proposed_at", m->proposed_at);
    code_f64(c, "draft_s", &m->draft_s);
    code_f64(c, "middle_s", &m->middle_s);
    code_f64(c, "verify_s", &m->verify_s);
    code_f64(c, "link_wait_s", &m->link_wait_s);
    code_f64(c, "message_s", &m->message_s);
    code_result_bytes(c, m);
    code_f64(c, "k_error_prompt", &m->k_error_prompt);
    code_f64(c, "k_error_generated", &m->k_error_generated);
    code_f64(c, "v_error_prompt", &m->v_error_prompt);
    code_f64(c, "v_error_generated", &m->v_error_generated);
}

void code_forget(struct coder *c, struct msg_forget *m)
{
    msg_fields(c, 2);
    code_u32(c, "prompt", &m->prompt);
    code_u64(c, "snapshot", &m->snapshot);
}

void code_progress(struct coder *c, struct msg_progress *m)
{
    msg_fields(c, 3);
    msg_below(c, "phase", &m->phase, MSG_PHASE_DECODE + 1);
    code_u64(c, "done", &m->done);
    code_u64(c, "total", &m->total);
}
