/*
 * The scheduler by itself: seconds are what the test says they are.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "orchestrator/scheduler.h"
#include "tests/test_helpers.h"

enum { MAX_TRIALS = 512, MAX_PROMPTS = 32 };

static struct trial trials[MAX_TRIALS];
static struct prompt prompts[MAX_PROMPTS];

/* Prompt i has n_trials[i] trials of 10 tokens each after prefill[i] tokens. */
static struct matrix matrix_of(const uint32_t *prefill, const uint32_t *n_trials, uint32_t n)
{
    struct matrix m = {.n_prompts = n, .trial = trials, .prompt = prompts};

    for (uint32_t i = 0; i < n; i++) {
        prompts[i] = (struct prompt){
            .prefill = prefill[i], .first_trial = m.n_trials, .n_trials = n_trials[i]};
        for (uint32_t t = 0; t < n_trials[i]; t++, m.n_trials++)
            trials[m.n_trials] =
                (struct trial){.number = m.n_trials, .prompt = i, .setting = {.gen_len = 10}};
    }
    return m;
}

static void expect_group(struct scheduler *s, uint32_t place, uint32_t prompt)
{
    uint32_t got = UINT32_MAX;

    assert_true(scheduler_group(s, place, &got));
    assert_int_equal(got, prompt);
}

static void expect_trial(struct scheduler *s, uint32_t place, uint32_t trial, double seconds)
{
    uint32_t got = UINT32_MAX;

    assert_true(scheduler_trial(s, place, &got));
    assert_int_equal(got, trial);
    if (seconds >= 0)
        scheduler_ended(s, place, seconds);
}

static void expect_end(struct scheduler *s, uint32_t place)
{
    uint32_t got;

    assert_false(scheduler_trial(s, place, &got));
}

static void one_place_takes_the_matrix_in_its_order(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){100, 900}, (uint32_t[]){2, 1}, 2);
    struct scheduler *s = scheduler_open(&m, NULL, 1);
    uint32_t prompt;

    expect_group(s, 0, 0);
    scheduler_prefilled(s, 0, 1);
    expect_trial(s, 0, 0, 1);
    expect_trial(s, 0, 1, 1);
    expect_end(s, 0);
    expect_group(s, 0, 1);
    expect_trial(s, 0, 2, 1);
    expect_end(s, 0);
    assert_false(scheduler_group(s, 0, &prompt));
    scheduler_close(s);
}

static void what_is_done_is_not_handed_out(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){100, 200, 300}, (uint32_t[]){2, 2, 2}, 3);
    const bool done[6] = {false, true, true, true, true, false};
    struct scheduler *s = scheduler_open(&m, done, 1);
    uint32_t prompt;

    expect_group(s, 0, 0);
    expect_trial(s, 0, 0, 1);
    expect_end(s, 0);
    expect_group(s, 0, 2); /* nothing of prompt 1 is missing: it is not prefilled */
    expect_trial(s, 0, 5, 1);
    expect_end(s, 0);
    assert_false(scheduler_group(s, 0, &prompt));
    scheduler_close(s);
}

static void several_places_take_the_costly_groups_first(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){100, 200, 300}, (uint32_t[]){1, 1, 1}, 3);
    struct scheduler *s = scheduler_open(&m, NULL, 2);

    expect_group(s, 0, 2);
    expect_group(s, 1, 1);
    expect_trial(s, 1, 1, 1);
    expect_group(s, 1, 0);
    scheduler_close(s);
}

static void trials_of_a_prompt_stay_together_while_groups_are_left(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){100, 300}, (uint32_t[]){4, 4}, 2);
    struct scheduler *s = scheduler_open(&m, NULL, 2);

    expect_group(s, 0, 1);
    expect_group(s, 1, 0);
    for (uint32_t i = 0; i < 4; i++) {
        expect_trial(s, 0, 4 + i, 1);
        expect_trial(s, 1, i, 1);
    }
    expect_end(s, 0);
    expect_end(s, 1);
    scheduler_close(s);
}

/* Of 8 left at 1 s each and a prefill of 2 s: 3 there end with the 5 here. */
static void an_idle_place_takes_the_back_of_the_longest_group(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){300}, (uint32_t[]){10}, 1);
    struct scheduler *s = scheduler_open(&m, NULL, 2);

    expect_group(s, 0, 0);
    scheduler_prefilled(s, 0, 2);
    expect_trial(s, 0, 0, 1);
    expect_trial(s, 0, 1, -1);
    expect_group(s, 1, 0);
    expect_trial(s, 1, 7, 1);
    scheduler_ended(s, 0, 1);
    for (uint32_t i = 2; i < 7; i++)
        expect_trial(s, 0, i, 1);
    expect_end(s, 0);
    expect_trial(s, 1, 8, 1);
    expect_trial(s, 1, 9, 1);
    expect_end(s, 1);
    scheduler_close(s);
}

struct asking {
    struct scheduler *s;
    uint32_t place, prompt;
    bool found;
};

static void *ask(void *self)
{
    struct asking *a = self;

    a->found = scheduler_group(a->s, a->place, &a->prompt);
    return NULL;
}

/* The prefill costs more than the two trials that are left. */
static void a_group_is_not_split_where_that_gains_nothing(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){300}, (uint32_t[]){4}, 1);
    struct scheduler *s = scheduler_open(&m, NULL, 2);
    struct asking other = {.s = s, .place = 1};
    uint32_t prompt;
    pthread_t thread;

    expect_group(s, 0, 0);
    scheduler_prefilled(s, 0, 10);
    expect_trial(s, 0, 0, 1);
    assert_int_equal(pthread_create(&thread, NULL, ask, &other), 0);
    for (uint32_t i = 1; i < 4; i++)
        expect_trial(s, 0, i, 1);
    expect_end(s, 0);
    assert_false(scheduler_group(s, 0, &prompt)); /* which ends the other's wait too */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(other.found);
    scheduler_close(s);
}

/* The trial at hand has no result, so it goes to the other place as well. */
static void a_lost_place_leaves_all_that_it_has_not_ended(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){100, 300}, (uint32_t[]){1, 3}, 2);
    struct scheduler *s = scheduler_open(&m, NULL, 2);
    uint32_t prompt;

    expect_group(s, 0, 1);
    expect_group(s, 1, 0);
    expect_trial(s, 0, 1, 1);
    expect_trial(s, 0, 2, -1);
    assert_true(scheduler_has_others(s, 0));
    assert_true(scheduler_lost(s, 0));
    expect_trial(s, 1, 0, 1);
    expect_group(s, 1, 1);
    expect_trial(s, 1, 2, 1);
    expect_trial(s, 1, 3, -1);
    assert_false(scheduler_has_others(s, 1));
    assert_false(scheduler_lost(s, 1)); /* nobody is left */
    scheduler_stop(s);
    assert_true(scheduler_is_stopped(s));
    assert_false(scheduler_trial(s, 1, &prompt));
    scheduler_close(s);
}

static void a_waiting_place_takes_over_from_a_lost_one(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){300}, (uint32_t[]){2}, 1);
    struct scheduler *s = scheduler_open(&m, NULL, 2);
    struct asking other = {.s = s, .place = 1};
    pthread_t thread;

    expect_group(s, 0, 0);
    expect_trial(s, 0, 0, -1);
    assert_int_equal(pthread_create(&thread, NULL, ask, &other), 0);
    assert_true(scheduler_lost(s, 0));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(other.found);
    expect_trial(s, 1, 0, 1);
    expect_trial(s, 1, 1, 1);
    scheduler_close(s);
}

static void a_stop_ends_the_wait_and_hands_out_no_trial(void **state)
{
    struct matrix m = matrix_of((uint32_t[]){300}, (uint32_t[]){4}, 1);
    struct scheduler *s = scheduler_open(&m, NULL, 2);
    struct asking other = {.s = s, .place = 1};
    pthread_t thread;

    expect_group(s, 0, 0);
    expect_trial(s, 0, 0, -1);
    assert_int_equal(pthread_create(&thread, NULL, ask, &other), 0);
    scheduler_stop(s);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(other.found);
    scheduler_ended(s, 0, 1);
    expect_end(s, 0);
    scheduler_close(s);
}

/* ---- all at once ---- */

enum { N_PLACES = 6, N_LOST = 3 };

struct runner {
    struct scheduler *s;
    uint32_t place;
    uint32_t n_until_lost; /* trials; 0: never */
    atomic_uint *n_runs;   /* [n_trials] */
};

/* True once the place is lost. */
static bool run_group(struct runner *r, uint32_t prompt, uint32_t *n)
{
    uint32_t trial;

    scheduler_prefilled(r->s, r->place, 1e-3 * (prompt + 1));
    while (scheduler_trial(r->s, r->place, &trial)) {
        if (trials[trial].prompt != prompt)
            atomic_fetch_add(&r->n_runs[trial], 100); /* seen by the test's own thread */
        if (++*n == r->n_until_lost) {
            scheduler_lost(r->s, r->place);
            return true;
        }
        atomic_fetch_add(&r->n_runs[trial], 1);
        scheduler_ended(r->s, r->place, 1e-3);
    }
    return false;
}

static void *run(void *self)
{
    struct runner *r = self;
    uint32_t prompt, n = 0;

    while (scheduler_group(r->s, r->place, &prompt))
        if (run_group(r, prompt, &n))
            break;
    return NULL;
}

static void places_that_are_lost_on_the_way_leave_every_trial_run_once(void **state)
{
    uint32_t prefill[MAX_PROMPTS], n_trials[MAX_PROMPTS];
    struct matrix m;

    for (uint32_t round = 0; round < 40; round++) {
        static atomic_uint n_runs[MAX_TRIALS];
        struct runner runner[N_PLACES];
        pthread_t thread[N_PLACES];
        uint32_t n_prompts = 1 + round % 9;
        struct scheduler *s;
        for (uint32_t i = 0; i < n_prompts; i++) {
            prefill[i] = 100 + 37 * (i % 4);
            n_trials[i] = 1 + (7 * i + round) % 40;
        }
        m = matrix_of(prefill, n_trials, n_prompts);
        s = scheduler_open(&m, NULL, N_PLACES);
        for (uint32_t i = 0; i < m.n_trials; i++)
            atomic_store(&n_runs[i], 0);
        for (uint32_t i = 0; i < N_PLACES; i++) {
            runner[i] = (struct runner){s, i, i < N_LOST ? 1 + (round + i) % 5 : 0, n_runs};
            assert_int_equal(pthread_create(&thread[i], NULL, run, &runner[i]), 0);
        }
        for (uint32_t i = 0; i < N_PLACES; i++)
            assert_int_equal(pthread_join(thread[i], NULL), 0);
        for (uint32_t i = 0; i < m.n_trials; i++)
            assert_int_equal(atomic_load(&n_runs[i]), 1);
        scheduler_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_place_takes_the_matrix_in_its_order),
        cmocka_unit_test(what_is_done_is_not_handed_out),
        cmocka_unit_test(several_places_take_the_costly_groups_first),
        cmocka_unit_test(trials_of_a_prompt_stay_together_while_groups_are_left),
        cmocka_unit_test(an_idle_place_takes_the_back_of_the_longest_group),
        cmocka_unit_test(a_group_is_not_split_where_that_gains_nothing),
        cmocka_unit_test(a_lost_place_leaves_all_that_it_has_not_ended),
        cmocka_unit_test(a_waiting_place_takes_over_from_a_lost_one),
        cmocka_unit_test(a_stop_ends_the_wait_and_hands_out_no_trial),
        cmocka_unit_test(places_that_are_lost_on_the_way_leave_every_trial_run_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
