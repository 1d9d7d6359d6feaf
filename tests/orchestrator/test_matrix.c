#include "tests/orchestrator/sample.h"

#include "kernels/kv_format.h"

static void equal_work_of_two_studies_is_one_trial(void **state)
{
    struct experiment *e = sample_parse(sample_text);
    struct matrix *m = sample_matrix(e, 8);
    /* per seed and document: a1 4 methods x 2 lengths; a2 adds only kv_quant with
     * resident 0, since its mspeckv and its resident 4 stand in a1 */
    assert_int_equal(m->n_trials, 2 * 2 * (4 * 2 + 1));
    uint32_t n_uses = 0;
    for (uint32_t i = 0; i < m->n_trials; i++) {
        assert_int_equal(m->trial[i].number, i);
        n_uses += m->trial[i].n_uses;
    }
    assert_int_equal(n_uses, 2 * 2 * (4 * 2 + 2 * 2));
    matrix_close(m);
    experiment_free(e);
}

static void trials_of_a_prompt_stand_together(void **state)
{
    struct experiment *e = sample_parse(sample_text);
    struct matrix *m = sample_matrix(e, 8);
    uint32_t next = 0;
    assert_int_equal(m->n_prompts, 4);
    for (uint32_t p = 0; p < m->n_prompts; p++) {
        assert_int_equal(m->prompt[p].first_trial, next);
        assert_int_equal(m->prompt[p].max_gen_len, 100);
        for (uint32_t i = 0; i < m->prompt[p].n_trials; i++) {
            const struct trial *t = &m->trial[next + i];
            assert_int_equal(t->prompt, p);
            assert_int_equal(t->document, m->prompt[p].document);
            assert_int_equal(t->setting.prefill, m->prompt[p].prefill);
        }
        next += m->prompt[p].n_trials;
    }
    assert_int_equal(next, m->n_trials);
    assert_int_equal(m->prompt[0].prefill, 1000);
    assert_int_equal(m->prompt[1].document, 1);
    assert_int_equal(m->prompt[2].prefill, 2000);
    matrix_close(m);
    experiment_free(e);
}

static void every_cell_has_every_seed_and_document_once(void **state)
{
    struct experiment *e = sample_parse(sample_text);
    struct matrix *m = sample_matrix(e, 8);
    uint32_t seen[2][2][METHOD_COUNT][2][2] = {{{{{0}}}}};
    for (uint32_t i = 0; i < m->n_trials; i++) {
        const struct trial *t = &m->trial[i];
        for (uint32_t u = 0; u < t->n_uses; u++)
            seen[t->use[u].study][t->use[u].point][t->method][t->seed - 1][t->document]++;
    }
    for (uint32_t i = 0; i < sizeof seen / sizeof(uint32_t); i++) {
        uint32_t study = i / (2 * METHOD_COUNT * 4);
        uint32_t method = i / 4 % METHOD_COUNT;
        uint32_t wanted = study == 0 || method >= METHOD_MSPECKV ? 1 : 0;
        assert_int_equal(((uint32_t *)seen)[i], wanted);
    }
    matrix_close(m);
    experiment_free(e);
}

static void resident_is_cut_to_what_on_chip_leaves(void **state)
{
    struct experiment *e = sample_parse("target: t\ndraft: d\ndataset: demo\nprefill: 100\n"
                                        "on_chip: [2, 6, 8]\nresident_layers: 4\n"
                                        "methods: [mspeckv, mspeckv_kv_quant]\n");
    struct matrix *m = sample_matrix(e, 8);
    for (uint32_t i = 0; i < m->n_trials; i++) {
        const struct trial *t = &m->trial[i];
        uint32_t left = 8 - t->setting.on_chip;
        uint32_t wanted = t->method == METHOD_MSPECKV ? 0 : left < 4 ? left : 4;
        assert_int_equal(t->effective_resident, wanted);
        assert_int_equal(matrix_message(t, 0).resident_layers, wanted);
    }
    matrix_close(m);
    experiment_free(e);
}

static void more_on_chip_than_layers_is_refused_at_its_place(void **state)
{
    struct experiment *e = sample_parse("target: t\ndraft: d\ndataset: demo\nprefill: 100\n"
                                        "on_chip: [8, 9]\n");
    struct matrix *m = NULL;
    struct err err = {{0}};
    assert_int_equal(matrix_open(&m, e, &err), ST_OK);
    assert_int_equal(matrix_check(m, e, 8, &err), ST_INVALID);
    assert_string_equal(err.text, "dir/sample.yaml:5:10: study sample: on_chip is 9 and the target "
                                  "has 8 layers; on_chip of 0 to 8 would be right");
    assert_int_equal(matrix_check(m, e, 9, &err), ST_OK);
    matrix_close(m);
    experiment_free(e);
}

static void only_kv_quant_stores_a_quantized_format(void **state)
{
    struct experiment *e = sample_parse("target: t\ndraft: d\ndataset: demo\nprefill: 100\n"
                                        "kv_format: int4\n");
    struct matrix *m = sample_matrix(e, 32);
    for (uint32_t i = 0; i < m->n_trials; i++)
        assert_int_equal(matrix_message(&m->trial[i], 0).kv_format,
                         m->trial[i].method == METHOD_MSPECKV_KV_QUANT ? KV_INT4 : KV_F16);
    matrix_close(m);
    experiment_free(e);
}

static void a_message_carries_the_whole_trial(void **state)
{
    struct experiment *e = sample_parse(
        "target: t\ndraft: d\ndataset: demo\nprefill: 300\ngen_len: 7\nbudget: 64\nchunk: 4\n"
        "gamma: 5\ngamma_draft: 2\non_chip: 1\nresident_layers: 3\ntemperature: 0.5\n"
        "top_p: 0.75\nacceptance: coupled\nkv_format: int8\nstaging_layers: 3\n"
        "ignore_eos: false\nseed: 99\ndocuments: 1\nmethods: [mspeckv_kv_quant]\n");
    struct matrix *m = sample_matrix(e, 32);
    assert_int_equal(m->n_trials, 1);
    struct msg_trial t = matrix_message(&m->trial[0], 77);
    assert_int_equal(t.n_prompt, 300);
    assert_int_equal(t.gen_len, 7);
    assert_int_equal(t.budget, 64);
    assert_int_equal(t.chunk, 4);
    assert_int_equal(t.gamma, 5);
    assert_int_equal(t.gamma_draft, 2);
    assert_int_equal(t.on_chip, 1);
    assert_int_equal(t.resident_layers, 3);
    assert_close(t.temperature, 0.5, 0);
    assert_close(t.top_p, 0.75, 0);
    assert_int_equal(t.acceptance, ACCEPT_COUPLED);
    assert_int_equal(t.kv_format, KV_INT8);
    assert_int_equal(t.staging_layers, 3);
    assert_false(t.ignore_eos);
    assert_int_equal(t.seed, 99);
    assert_int_equal(t.snapshot, 77);
    assert_int_equal(t.method, METHOD_MSPECKV_KV_QUANT);
    matrix_close(m);
    experiment_free(e);
}

static void two_sweeps_multiply_with_the_last_one_fastest(void **state)
{
    struct experiment *e = sample_parse("target: t\ndraft: d\ndataset: demo\nprefill: 100\n"
                                        "gamma: [2, 4]\nbudget: [64, 128, 256]\n");
    const struct study *s = &e->study[0];
    assert_int_equal(matrix_points(s), 6);
    assert_int_equal(matrix_point_setting(s, 1).gamma, 2);
    assert_int_equal(matrix_point_setting(s, 1).budget, 128);
    assert_int_equal(matrix_point_setting(s, 5).gamma, 4);
    assert_int_equal(matrix_point_setting(s, 5).budget, 256);
    experiment_free(e);
}

static void too_many_trials_are_refused(void **state)
{
    char text[1024] = "target: t\ndraft: d\ndataset: demo\ndocuments: 64\nprefill: [1";
    struct matrix *m = NULL;
    struct err err = {{0}};
    for (int i = 2; i <= 32; i++)
        sprintf(text + strlen(text), ", %d", i);
    strcat(text, "]\nseeds: [1");
    for (int i = 2; i <= 10; i++)
        sprintf(text + strlen(text), ", %d", i);
    strcat(text, "]\n");
    struct experiment *e = sample_parse(text);
    assert_int_equal(matrix_open(&m, e, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "81920 trials"));
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_work_of_two_studies_is_one_trial),
        cmocka_unit_test(trials_of_a_prompt_stand_together),
        cmocka_unit_test(every_cell_has_every_seed_and_document_once),
        cmocka_unit_test(resident_is_cut_to_what_on_chip_leaves),
        cmocka_unit_test(more_on_chip_than_layers_is_refused_at_its_place),
        cmocka_unit_test(only_kv_quant_stores_a_quantized_format),
        cmocka_unit_test(a_message_carries_the_whole_trial),
        cmocka_unit_test(two_sweeps_multiply_with_the_last_one_fastest),
        cmocka_unit_test(too_many_trials_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
