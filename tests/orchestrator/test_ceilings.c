/* What a pass of a model reads, and what a line of results.jsonl says of it. */
#include "tests/orchestrator/sample.h"

#include "common/mem.h"
#include "orchestrator/ceilings.h"
#include "orchestrator/result_json.h"

static void near(double is, double want)
{
    assert_close(is, want, 1e-9 * want);
}

static void a_pass_reads_the_matrices_and_not_the_embedding(void **state)
{
    /* q and o of 4 * 16 * 32, k and v of 2 * 16 * 32, three of 32 * 100; twice;
     * the table of 50 * 32 for the output, and once more where they are not tied */
    struct target_shape s = {.n_layers = 2,
                             .n_heads = 4,
                             .n_kv_heads = 2,
                             .head_dim = 16,
                             .n_vocab = 50,
                             .hidden = 32,
                             .intermediate = 100,
                             .weight_bytes = 1000000};
    double layers = 2 * (2 * 2048 + 2 * 1024 + 3 * 3200), table = 1600;
    struct ceilings_model m = ceilings_model_of(&s);

    near(m.row_ops, 2 * (layers + table));
    near(m.pass_bytes, 1e6 * (layers + table) / (layers + 2 * table));
    s.is_tied = true;
    m = ceilings_model_of(&s);
    near(m.row_ops, 2 * (layers + table));
    near(m.pass_bytes, 1e6);
    s.intermediate = 0;
    near(ceilings_model_of(&s).pass_bytes, 0);
}

static void ceilings_that_are_none_are_refused_by_name(void **state)
{
    static const char *const wrong[] = {"\"ceilings\":1", "\"ceilings\":{\"memory_gbps\":1}",
                                        "\"ceilings\":{\"memory_gbps\":\"x\"}",
                                        ("\"ceilings\":{\"memory_gbps\":-1,\"compute_gflops\":1,"
                                         "\"link_gbps\":0,\"target\":{},\"draft\":{}}")};
    struct msg_result meas = sample_measured(50, 60);
    struct experiment *e;
    struct matrix *m;
    struct result r;
    struct err err = {{0}};
    char *line;

    e = sample_parse(sample_text);
    m = sample_matrix(e, 8);
    result_init(&r, &m->trial[0], 1, &meas, NULL);
    line = result_json_write(&r, e); /* it has none, and says nothing of them */
    assert_null(strstr(line, "ceilings"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *edited = mem_printf("%.*s,%s}", (int)strlen(line) - 1, line, wrong[i]);
        struct result back;
        assert_int_equal(result_json_read(&back, edited, strlen(edited), e, &err), ST_CORRUPT);
        assert_non_null(strstr(err.text, "\"ceilings\""));
        free(edited);
    }
    free(line);
    result_release(&r);
    matrix_close(m);
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_reads_the_matrices_and_not_the_embedding),
        cmocka_unit_test(ceilings_that_are_none_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
