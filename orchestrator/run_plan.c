#include "orchestrator/run_plan.h"

#include <string.h>

static enum status read_prompts(struct run_plan *p, struct err *err)
{
    const struct experiment *e = p->e;
    const struct prompt *prompt = p->matrix->prompt; /* ascending prefill */
    const struct prompt_words words = {e->template_word, e->template_file,
                                       e->chat ? e->target : NULL};
    struct prompt_parts parts;
    const struct prompt_source_args args = {.tok = p->tok,
                                            .parts = &parts,
                                            .dataset = e->dataset,
                                            .field = e->dataset_field,
                                            .skip_short = e->skip_short,
                                            .n_documents = e->n_documents,
                                            .document_seed = e->document_seed,
                                            .n_tokens_min = prompt[0].prefill,
                                            .n_tokens = prompt[p->matrix->n_prompts - 1].prefill};
    enum status st = prompt_parts_read(&parts, &words, p->tok, err);

    if (st == ST_OK)
        st = prompt_source_open(&p->source, &args, err);
    prompt_parts_release(&parts);
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
    p->ceilings.target = ceilings_model_of(&p->shape);
    p->ceilings.draft = ceilings_model_of(&draft);
    if (p->ceilings.draft.window == 0 || p->ceilings.draft.window > p->e->sinks + p->e->window)
        p->ceilings.draft.window = p->e->sinks + p->e->window;
    p->random_target = p->shape.random_weights;
    p->random_draft = draft.random_weights;
    p->need = (struct memory_need){.arena_bytes = memory_plan_arena_bytes(&p->memory, &p->shape),
                                   .weight_bytes = p->shape.weight_bytes + draft.weight_bytes,
                                   .n_places = p->e->parallel,
                                   .posix = strcmp(p->e->arena, "posix") == 0};
    return st;
}

static enum status check_lengths(const struct run_plan *p, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < p->matrix->n_trials; i++) {
        const struct setting *s = &p->matrix->trial[i].setting;
        st = target_shape_check_length(&p->shape, p->e->target, s->prefill, s->gen_len, err);
    }
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
        st = check_lengths(p, err);
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
