#include "tests/orchestrator/sample.h"

#include <jansson.h>

#include "common/mem.h"
#include "orchestrator/summary_files.h"

struct fixture {
    struct experiment *e;
    struct matrix *m;
    struct results r;
    struct summary *s;
};

static void set_up(struct fixture *f)
{
    f->e = sample_parse(sample_text);
    f->m = sample_matrix(f->e, 8);
    f->r = sample_results(f->e, f->m);
    summary_open(&f->s, f->e, f->r.result, f->r.n, 0.25);
}

static void tear_down(struct fixture *f)
{
    summary_close(f->s);
    results_release(&f->r);
    matrix_close(f->m);
    experiment_free(f->e);
}

static uint32_t count_fields(const char *line, size_t n)
{
    uint32_t fields = 1;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        quoted = quoted != (line[i] == '"');
        fields += line[i] == ',' && !quoted;
    }
    assert_false(quoted);
    return fields;
}

static void csv_has_a_row_per_cell_and_document_and_equal_columns(void **state)
{
    struct fixture f;
    char *bytes = NULL;
    size_t n = 0;
    set_up(&f);
    FILE *memory = open_memstream(&bytes, &n);
    summary_files_csv(memory, f.s);
    fclose(memory);
    uint32_t n_lines = 0, n_fields = count_fields(bytes, strcspn(bytes, "\n"));
    for (const char *line = bytes; *line != '\0'; line += strcspn(line, "\n") + 1, n_lines++)
        assert_int_equal(count_fields(line, strcspn(line, "\n")), n_fields);
    assert_int_equal(n_lines, 1 + (2 * 4 + 2 * 2) * (1 + 2));
    assert_non_null(
        strstr(bytes, "\na1,prefill,1000,baseline,baseline,2,2,mean,\"\",4,0,0,20,7.07106781,"));
    assert_non_null(strstr(
        bytes, "\na2,resident_layers,4,mspeckv_kv_quant,mspeckv,2,2,mean,\"\",4,0,0,107.5,"));
    /* Document 2 of mspeckv: 50 and 65 tok/s, over the baseline's 20 and 30. */
    assert_non_null(strstr(bytes,
                           "\na1,prefill,1000,mspeckv,baseline,2,2,2,\"two, \"\"|2\"\".txt\","
                           "2,0,0,57.5,10.6066017,"));
    free(bytes);
    tear_down(&f);
}

static void json_gives_the_same_figures(void **state)
{
    struct fixture f;
    set_up(&f);
    char *text = summary_files_json(f.s);
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *method = NULL;
    double mean = 0, std = 0, quant = 0, prefill = 0, link = 0;
    assert_non_null(all);
    json_t *cells = json_object_get(json_array_get(json_object_get(all, "studies"), 0), "cells");
    assert_int_equal(json_array_size(cells), 8);
    assert_int_equal(json_unpack(json_array_get(cells, 2), "{s:s, s:{s:F, s:F}, s:{s:F}}", "method",
                                 &method, "speedup", "mean", &mean, "std", &std, "at", "prefill",
                                 &prefill),
                     0);
    assert_string_equal(method, "mspeckv");
    assert_close(mean, 2.75, 1e-8);
    assert_close(std, 0.5 / sqrt(2.0), 1e-8);
    assert_close(prefill, 1000, 0);
    assert_int_equal(json_unpack(json_array_get(cells, 3), "{s:{s:{s:F}}}", "speedup_over",
                                 "mspeckv", "mean", &quant),
                     0);
    assert_close(quant, 2, 1e-8);
    assert_int_equal(json_unpack(all, "{s:F}", "simulated_link_gbps", &link), 0);
    assert_close(link, 0.25, 0);
    json_decref(all);
    free(text);
    tear_down(&f);
}

static void json_gives_each_documents_own_figures(void **state)
{
    struct fixture f;
    set_up(&f);
    char *text = summary_files_json(f.s);
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    double rate = 0, speedup = 0, std = 0;
    int document = -1, ok = -1;
    const char *name = NULL;
    assert_non_null(all);
    json_t *cells = json_object_get(json_array_get(json_object_get(all, "studies"), 0), "cells");
    json_t *list = json_object_get(json_array_get(cells, 2), "by_document");
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_unpack(json_array_get(list, 1), "{s:i, s:i, s:{s:F}, s:{s:F, s:F}}",
                                 "document", &document, "ok", &ok, "tok_per_s", "mean", &rate,
                                 "speedup", "mean", &speedup, "std", &std),
                     0);
    assert_int_equal(document, 1);
    assert_int_equal(ok, 2);
    assert_close(rate, 57.5, 1e-8);
    assert_close(speedup, (50.0 / 20 + 65.0 / 30) / 2, 1e-8);
    assert_close(std, (50.0 / 20 - 65.0 / 30) / sqrt(2.0), 1e-8);
    assert_int_equal(json_unpack(all, "{s:[s*]}", "document_names", &name), 0);
    assert_string_equal(name, "one.txt");
    json_decref(all);
    free(text);
    tear_down(&f);
}

static void unknown_figures_are_null_and_never_zero(void **state)
{
    struct experiment *e = sample_parse(sample_text);
    struct summary *s = NULL;
    summary_open(&s, e, NULL, 0, 0);
    char *text = summary_files_json(s);
    json_t *all = json_loads(text, 0, NULL);
    json_t *cell = json_array_get(
        json_object_get(json_array_get(json_object_get(all, "studies"), 0), "cells"), 0);
    assert_true(json_is_null(json_object_get(json_object_get(cell, "tok_per_s"), "mean")));
    assert_true(json_is_null(json_object_get(cell, "ttft_s")));
    assert_true(json_is_null(json_object_get(all, "simulated_link_gbps")));
    json_decref(all);
    free(text);
    summary_close(s);
    experiment_free(e);
}

static void all_three_files_appear_and_nothing_else(void **state)
{
    static const char *const names[] = {"summary.json", "summary.csv", "summary.md"};
    struct fixture f;
    struct err err = {{0}};
    char dir[] = "/tmp/test_summary_XXXXXX";
    set_up(&f);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(summary_files_write(f.s, dir, &err), ST_OK);
    assert_int_equal(summary_files_write(f.s, dir, &err), ST_OK); /* replaces */
    for (size_t i = 0; i < 3; i++) {
        char *path = mem_printf("%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
        free(path);
    }
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
    assert_int_equal(summary_files_write(f.s, dir, &err), ST_IO);
    assert_non_null(strstr(err.text, "summary.json.tmp: No such file or directory"));
    tear_down(&f);
}

static void markdown_says_trials_link_and_reference(void **state)
{
    struct fixture f;
    char *bytes = NULL;
    size_t n = 0;
    set_up(&f);
    FILE *memory = open_memstream(&bytes, &n);
    summary_files_md(memory, f.s);
    fclose(memory);
    assert_non_null(strstr(bytes, "2 documents; seeds 1, 2; simulated link 0.25 GB/s."));
    assert_non_null(strstr(bytes, "Delta and speedup are against mspeckv, formed per seed."));
    assert_non_null(strstr(bytes,
                           "| 1000 | mspeckv | 53.75 ± 12.37 | 19.263 ± 4.578 | 6.50 ± 0.71 "
                           "| 33.75 ± 5.30 | 2.75 ± 0.35 | 1.00 | 2.5 kB | 4.13 MB | 4/4 |"));
    assert_non_null(strstr(bytes, "| 1000 | mspeckv | 2 two, \"\\|2\".txt | 57.50 ± 10.61 |"));
    free(bytes);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_has_a_row_per_cell_and_document_and_equal_columns),
        cmocka_unit_test(json_gives_the_same_figures),
        cmocka_unit_test(json_gives_each_documents_own_figures),
        cmocka_unit_test(unknown_figures_are_null_and_never_zero),
        cmocka_unit_test(all_three_files_appear_and_nothing_else),
        cmocka_unit_test(markdown_says_trials_link_and_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
