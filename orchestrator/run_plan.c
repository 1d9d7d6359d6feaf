#include "orchestrator/run_plan.h"

#include <string.h>

static enum status read_template(struct prompt_template *out, const struct experiment *e,
                                 struct err *err)
{
    if (e->template_file != NULL)
        return prompt_template_read(out, e->template_file, err);
    return prompt_template_choose(out, e->template_word != NULL ? e->template_word : "none", err);
}

/* Empty parts where the study does not ask for the chat form. */
static enum status read_chat(struct chat_parts *out, const struct run_plan *p, struct err *err)
{
    struct chat_template *chat = NULL;
    enum status st;

    if (!p->e->chat)
        return ST_OK;
    st = chat_template_open(&chat, p->e->target, err);
    if (st == ST_OK)
        st = chat_template_render(chat, p->tok, NULL, out, err);
    chat_template_close(chat);
    return st == ST_OK ? st : err_in(err, st, "chat: true");
}

static enum status read_prompts(struct run_plan *p, struct err *err)
{
    const struct experiment *e = p->e;
    const struct prompt *prompt = p->matrix->prompt; /* ascending prefill */
    struct prompt_template template;
    struct chat_parts chat;
    const struct prompt_source_args args = {.tok = p->tok,
                                            .use = &template,
                                            .chat = e->chat ? &chat : NULL,
                                            .dataset = e->dataset,
                                            .field = e->dataset_field,
                                            .skip_short = e->skip_short,
                                            .n_documents = e->n_documents,
                                            .document_seed = e->document_seed,
                                            .n_tokens_min = prompt[0].prefill,
                                            .n_tokens = prompt[p->matrix->n_prompts - 1].prefill};
    enum status st;

    prompt_template_init(&template);
    chat_parts_init(&chat);
    st = read_template(&template, e, err);
    if (st == ST_OK)
        st = read_chat(&chat, p, err);
    if (st == ST_OK)
        st = prompt_source_open(&p->source, &args, err);
    chat_parts_release(&chat);
    prompt_template_release(&template);
    if (st == ST_OK && (uint32_t)prompt_source_largest(p->source) >= p->shape.n_vocab)
        st = err_set(err, ST_INVALID,
                     "%s: its tokenizer gives token %d and its vocabulary is %u: it is of another "
                     "model",
                     p->e->target, (int)prompt_source_largest(p->source), p->shape.n_vocab);
    return st;
}

static enum status plan_memory(struct run_plan *p, struct err *err)
{
    struct target_shape draft = {.weight_bytes = 0};
    enum status st = ST_OK;

    for (uint32_t i = 0; i < p->matrix->n_trials; i++) {
        struct msg_trial trial = matrix_message(&p->matrix->trial[i], 0);
        memory_plan_add(&p->memory, &trial);
        p->speculates = p->speculates || trial.method != METHOD_BASELINE;
    }
    if (p->speculates)
        st = target_shape_draft(&draft, p->e->draft, &p->shape, err);
    p->random_target = p->shape.random_weights;
    p->random_draft = draft.random_weights;
    p->need = (struct memory_need){.arena_bytes = memory_plan_arena_bytes(&p->memory, &p->shape),
                                   .weight_bytes = p->shape.weight_bytes + draft.weight_bytes,
                                   .posix = strcmp(p->e->arena, "posix") == 0};
    return st;
}

enum status run_plan_fill(struct run_plan *p, struct err *err)
{
    enum status st = experiment_check_paths(p->e, err);

    if (st == ST_OK)
        st = matrix_open(&p->matrix, p->e, err);
    if (st == ST_OK)
        st = target_shape_read(&p->shape, p->e->target, err);
    if (st == ST_OK)
        st = matrix_check(p->matrix, p->e, p->shape.n_layers, err);
    if (st == ST_OK)
        st = tokenizer_open(&p->tok, p->e->target, err);
    if (st == ST_OK)
        st = read_prompts(p, err);
    return st == ST_OK ? plan_memory(p, err) : st;
}

void run_plan_release(struct run_plan *p)
{
    prompt_source_close(p->source);
    tokenizer_close(p->tok);
    matrix_close(p->matrix);
    experiment_free(p->e);
    *p = (struct run_plan){.e = NULL};
}
