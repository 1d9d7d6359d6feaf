/* Every experiment file of the repository, and the sizes of the study. */
#include "tests/orchestrator/sample.h"

#include "orchestrator/replay_plan.h"

struct shipped {
    const char *name;
    uint32_t n_cells;  /* points x methods, over all studies */
    uint32_t n_trials; /* that run; equal work runs once */
    uint32_t n_documents;
    const char *sweep; /* key of the first study */
};

/* a1: 4 methods x points x 3 seeds x documents. a2: mspeckv once for all points.
 * b1, b2: 2 methods x points. */
static const struct shipped table[] = {
    {"a1", 16, 4 * 4 * 9, 3, "prefill"},
    {"a1-quick", 8, 2 * 4 * 3, 1, "prefill"},
    {"a2", 6, (3 + 1) * 9, 3, "resident_layers"},
    {"a2-quick", 6, (3 + 1) * 3, 1, "resident_layers"},
    {"b1", 10, 5 * 2 * 9, 3, "on_chip"},
    {"b1-quick", 6, 3 * 2 * 3, 1, "on_chip"},
    {"b2", 12, 6 * 2 * 9, 3, "gen_len"},
    {"b2-quick", 4, 2 * 2 * 3, 1, "gen_len"},
};

static struct experiment *read_file(const char *folder, const char *name)
{
    char path[1024];
    struct experiment *e = NULL;
    struct err err = {{0}};
    snprintf(path, sizeof path, "%s/experiments/%s%s.yaml", TEST_SOURCE_DIR, folder, name);
    if (experiment_read(&e, path, NULL, 0, &err) != ST_OK)
        fail_msg("%s", err.text);
    return e;
}

static void check(const char *folder, const struct shipped *want, uint32_t n_layers)
{
    struct experiment *e = read_file(folder, want->name);
    struct matrix *m = sample_matrix(e, n_layers);
    assert_int_equal(e->n_studies, 1);
    assert_int_equal(matrix_points(&e->study[0]) * e->study[0].n_methods, want->n_cells);
    assert_int_equal(m->n_trials, want->n_trials);
    assert_int_equal(e->n_documents, want->n_documents);
    assert_string_equal(e->study[0].sweep[0].key, want->sweep);
    assert_int_equal(e->study[0].n_sweeps, 1);
    assert_int_equal(e->study[0].fixed.gamma, 8);
    assert_int_equal(e->study[0].fixed.chunk, 8);
    assert_close(e->study[0].fixed.temperature, 0.6, 0);
    assert_close(e->study[0].fixed.top_p, 0.9, 0);
    assert_int_equal(e->sinks, 16);
    assert_int_equal(e->window, 232);
    matrix_close(m);
    experiment_free(e);
}

static void the_files_for_32_layers_have_the_sizes_of_the_study(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        check("", &table[i], 32);
}

static void the_replayed_study_is_a1_at_published_acceptance(void **state)
{
    struct experiment *e = read_file("", "a1-replayed");
    struct setting s = {0};

    check("", &(struct shipped){"a1-replayed", 16, 4 * 4 * 9, 3, "prefill"}, 32);
    for (uint32_t p = 0; p < matrix_points(&e->study[0]); p++) {
        replay_plan_apply(&e->study[0], p, METHOD_BASELINE, &s);
        assert_close(s.replay_accepted, 0, 0);
        replay_plan_apply(&e->study[0], p, METHOD_MSPECKV_KV_QUANT, &s);
        assert_true(s.replay_accepted >= 5.22 && s.replay_accepted <= 6.10);
    }
    assert_close(s.replay_accepted, 5.22, 0);
    experiment_free(e);
}

static void the_demo_files_have_the_same_sizes_on_8_layers(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        check("demo/", &table[i], 8);
}

static void the_studys_own_values_are_swept(void **state)
{
    struct experiment *e = read_file("", "b1");
    static const double want[] = {4, 8, 12, 16, 18};
    assert_memory_equal(e->study[0].sweep[0].value, want, sizeof want);
    assert_int_equal(e->study[0].fixed.prefill, 16384);
    assert_int_equal(e->study[0].fixed.budget, 4096);
    assert_int_equal(e->study[0].reference, METHOD_MSPECKV);
    experiment_free(e);
    e = read_file("", "a1-quick");
    assert_int_equal(e->study[0].fixed.budget, 1024);
    assert_int_equal(e->study[0].fixed.gen_len, 128);
    assert_close(e->study[0].sweep[0].value[1], 4096, 0);
    experiment_free(e);
}

static void every_demo_file_uses_the_simulated_link_of_ratio_62(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct experiment *e = read_file("demo/", table[i].name);
        assert_int_equal(e->link, LINK_RATIO);
        assert_close(e->link_value, 62, 0);
        experiment_free(e);
    }
}

static void the_main_job_is_a1_quick_and_two_points_of_a2(void **state)
{
    struct experiment *e = read_file("demo/", "quick");
    struct matrix *m = sample_matrix(e, 8);
    assert_int_equal(e->n_studies, 2);
    assert_string_equal(e->study[0].name, "a1");
    assert_int_equal(e->study[0].n_methods, 4);
    assert_string_equal(e->study[1].name, "a2");
    assert_int_equal(matrix_points(&e->study[1]), 2);
    assert_int_equal(e->n_documents, 1);
    assert_int_equal(e->n_seeds, 3);
    /* a1: 2 lengths x 4 methods; a2 adds kv_quant with resident 0 */
    assert_int_equal(m->n_trials, 3 * (2 * 4 + 1));
    assert_int_equal(m->n_prompts, 2);
    assert_non_null(strstr(e->target, "experiments/demo/target"));
    matrix_close(m);
    experiment_free(e);
}

static void the_books_are_a_folder_inside_an_instruction(void **state)
{
    struct experiment *e = read_file("", "book-summary");
    struct matrix *m = sample_matrix(e, 32);
    assert_non_null(strstr(e->dataset, "experiments/../books"));
    assert_string_equal(e->template_word, "summarize");
    assert_true(e->skip_short);
    assert_false(e->chat);
    assert_int_equal(m->n_prompts, 3 * 3);
    assert_int_equal(m->n_trials, 3 * 4 * 9);
    matrix_close(m);
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_for_32_layers_have_the_sizes_of_the_study),
        cmocka_unit_test(the_replayed_study_is_a1_at_published_acceptance),
        cmocka_unit_test(the_demo_files_have_the_same_sizes_on_8_layers),
        cmocka_unit_test(the_studys_own_values_are_swept),
        cmocka_unit_test(every_demo_file_uses_the_simulated_link_of_ratio_62),
        cmocka_unit_test(the_books_are_a_folder_inside_an_instruction),
        cmocka_unit_test(the_main_job_is_a1_quick_and_two_points_of_a2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
