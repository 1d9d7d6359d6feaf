#include "tools/eval/eval_score.h"

#include <stdlib.h>

#include "common/mem.h"
#include "tools/eval/fidelity.h"

struct logits {
    float *ref, *arm; /* [EVAL_PASS_ROWS, n_vocab] */
};

static enum status compare(const struct eval_score_args *a, uint32_t arm, uint32_t at, uint32_t n,
                           const struct logits *logits, struct err *err)
{
    struct eval_arm *to = &a->arm[arm];
    struct fidelity_row row;
    enum status st;

    for (uint32_t r = 0; r < n; r++) {
        size_t begin = (size_t)r * a->n_vocab;
        st = fidelity_compare(&row, logits->ref + begin, logits->arm + begin, a->n_vocab,
                              (uint32_t)a->token[at + r + 1], err);
        if (st != ST_OK)
            return err_in(err, st, "scored row %u", at + r);
        a->ref_nll[at + r] = row.nll_ref;
        to->nll[at + r] = row.nll;
        to->kl[at + r] = row.kl;
        to->same_top[at + r] = row.same_top ? 1.0 : 0.0;
    }
    return ST_OK;
}

enum status eval_score(const struct eval_score_args *a, struct err *err)
{
    size_t n_logits = (size_t)a->pass_rows * a->n_vocab;
    struct logits logits = {mem_array(n_logits, sizeof(float)), mem_array(n_logits, sizeof(float))};
    enum status st = ST_OK;

    CHECK(a->pass_rows >= 1 && a->pass_rows <= EVAL_PASS_ROWS && a->n_arms > 0);
    if (a->n > 0 && (a->token[a->n] < 0 || (uint32_t)a->token[a->n] >= a->n_vocab))
        st =
            err_set(err, ST_CORRUPT, "token %d is not in [0, %u)", (int)a->token[a->n], a->n_vocab);
    for (uint32_t at = 0; st == ST_OK && at < a->n; at += a->pass_rows) {
        uint32_t n = a->n - at < a->pass_rows ? a->n - at : a->pass_rows;
        st = eval_cache_pass(a->ref, a->token + at, (int)n, logits.ref, err);
        for (uint32_t i = 0; st == ST_OK && i < a->n_arms; i++) {
            st = eval_cache_pass(a->arm[i].cache, a->token + at, (int)n, logits.arm, err);
            if (st == ST_OK)
                st = compare(a, i, at, n, &logits, err);
        }
    }
    free(logits.ref);
    free(logits.arm);
    return st;
}
