/*
 * matrix.h - the trials of an experiment, in an order that reuses prefills.
 *
 * A cell is (study, sweep point, method); each cell needs one trial per
 * (document, seed). Trials of one prompt (document, prefill) stand together, so
 * that each prompt is prefilled once. Cells that ask for the same work share
 * one trial: mspeckv does not depend on resident_layers, and a1 and a2 may
 * overlap.
 */
#ifndef ORCHESTRATOR_MATRIX_H
#define ORCHESTRATOR_MATRIX_H

#include "common/msg.h"
#include "common/status.h"
#include "orchestrator/experiment.h"

enum { MATRIX_MAX_TRIALS = 20000 };

/* Which cell a trial serves; its method is the trial's. */
struct use {
    uint32_t study; /* index in the experiment */
    uint32_t point; /* index of the sweep point: matrix_point_* */
};

struct trial {
    uint32_t number; /* index in the matrix */
    uint32_t prompt; /* index in matrix.prompt */
    enum method method;
    uint32_t document; /* 0-based */
    uint64_t seed;
    struct setting setting;      /* of this method: setting_for_method */
    uint32_t effective_resident; /* set by matrix_check */
    uint32_t n_uses;
    struct use *use; /* [n_uses], owned by the matrix */
};

/* Trials first_trial .. first_trial + n_trials - 1 read this prompt. */
struct prompt {
    uint32_t document, prefill;
    uint32_t max_gen_len; /* the longest of its trials */
    uint32_t first_trial, n_trials;
};

struct matrix {
    uint32_t n_trials, n_prompts;
    struct trial *trial;
    struct prompt *prompt; /* ascending prefill, then document */
};

/* `e` is checked. ST_INVALID: more than MATRIX_MAX_TRIALS. */
enum status matrix_open(struct matrix **out, const struct experiment *e, struct err *err);
void matrix_close(struct matrix *m); /* NULL is fine */

/* Once the layer count is known: refuses on_chip > n_layers, naming the place
 * in the file, and sets effective_resident = min(resident_layers, n_layers -
 * on_chip) of each trial. */
enum status matrix_check(struct matrix *m, const struct experiment *e, uint32_t n_layers,
                         struct err *err);

/* Sweep points of a study: the product of its sweeps, the last one fastest. */
uint32_t matrix_points(const struct study *study);
double matrix_point_value(const struct study *study, uint32_t point, uint32_t sweep);
struct setting matrix_point_setting(const struct study *study, uint32_t point);

/* The decode as verify is told: stream and want_logits are false. Needs
 * matrix_check before. */
struct msg_trial matrix_message(const struct trial *t, uint64_t snapshot);

#endif
