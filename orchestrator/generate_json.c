#include "orchestrator/generate_json.h"

#include <math.h>

#include <jansson.h>

#include "common/mem.h"
#include "orchestrator/setting.h"

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* JSON has no NaN. */
static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *ids(const struct msg_result *r)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < r->n_tokens; i++)
        json_array_append_new(list, json_integer(r->token[i]));
    return list;
}

static json_t *ledger(const struct msg_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "on_chip", count(r->kv_on_chip),
                     "resident", count(r->kv_resident), "tail", count(r->kv_tail), "retrieval",
                     count(r->kv_retrieval), "staging", count(r->kv_staging), "draft",
                     count(r->kv_draft), "allocated", count(r->kv_allocated));
}

static json_t *phases(const struct msg_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "setup_s", real(r->setup_s), "draft_s",
                     real(r->draft_s), "middle_s", real(r->middle_s), "verify_s", real(r->verify_s),
                     "link_wait_s", real(r->link_wait_s), "message_s", real(r->message_s));
}

/* -1 in the message means that no page was sealed. */
static json_t *error_or_null(double x)
{
    return x >= 0 ? real(x) : json_null();
}

static json_t *errors(const struct msg_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "k_prompt", error_or_null(r->k_error_prompt),
                     "v_prompt", error_or_null(r->v_error_prompt), "k_generated",
                     error_or_null(r->k_error_generated), "v_generated",
                     error_or_null(r->v_error_generated));
}

static json_t *settings(const struct msg_trial *t)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:o, s:b}", "method",
                     method_name((enum method)t->method), "kv_format",
                     setting_format_name(t->kv_format), "acceptance",
                     setting_acceptance_name(t->acceptance), "gamma", count(t->gamma),
                     "gamma_draft", count(t->gamma_draft), "budget", count(t->budget), "chunk",
                     count(t->chunk), "on_chip", count(t->on_chip), "resident_layers",
                     count(t->resident_layers), "temperature", t->temperature, "top_p", t->top_p,
                     "seed", count(t->seed), "ignore_eos", (int)t->ignore_eos);
}

char *generate_json(const struct generate_json *g)
{
    const struct msg_result *r = g->result;
    uint64_t kv =
        r->kv_on_chip + r->kv_resident + r->kv_tail + r->kv_retrieval + r->kv_staging + r->kv_draft;
    json_t *text = json_stringn(g->text->n > 0 ? g->text->data : "", g->text->n);
    json_t *all;
    char *out;

    CHECK(text != NULL); /* a token_stream gives well-formed UTF-8 */
    all = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:b, "
        "s:o, s:o, s:o, s:o}",
        "tokens", ids(r), "text", text, "prompt_tokens", count(g->trial->n_prompt), "prefill_s",
        real(g->prefill_s), "decode_s", real(r->decode_s), "tok_per_s",
        real(r->decode_s > 0 ? r->n_tokens / r->decode_s : NAN), "rounds", count(r->rounds),
        "proposed", count(r->proposed), "accepted", count(r->accepted), "link_bytes",
        count(r->link_bytes), "device_kv_bytes", count(kv), "eos", (int)r->eos, "messages",
        count(r->n_messages), "draft_proposed", count(r->draft_proposed), "draft_accepted",
        count(r->draft_accepted), "simulated_link_gbps",
        g->link_gbps > 0 ? real(g->link_gbps) : json_null(), "random_weights",
        (int)g->random_weights, "ledger", ledger(r), "phases", phases(r), "kv_error", errors(r),
        "settings", settings(g->trial));
    CHECK(all != NULL);
    out = json_dumps(all, JSON_REAL_PRECISION(9));
    json_decref(all);
    CHECK(out != NULL);
    return out;
}
