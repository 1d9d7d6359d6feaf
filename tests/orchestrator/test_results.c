#include "tests/orchestrator/sample.h"

#include <signal.h>
#include <sys/resource.h>

#include "common/mem.h"
#include "orchestrator/result_json.h"

static char path[64];

static int make_path(void **state)
{
    strcpy(path, "/tmp/test_results_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return unlink(path);
}

static int drop_path(void **state)
{
    unlink(path);
    return 0;
}

static size_t file_size(void)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    fclose(f);
    return n;
}

static void append_text(const char *text)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Every field another number, none zero: a field that is swapped or lost is seen. */
static void fill(struct msg_result *m, int32_t *tokens)
{
    *m = (struct msg_result){.trial = 0,
                             .n_tokens = 3,
                             .token = tokens,
                             .eos = true,
                             .setup_s = 1.5,
                             .decode_s = 2.25,
                             .rounds = 3,
                             .proposed = 4,
                             .accepted = 5,
                             .draft_proposed = 6,
                             .draft_accepted = 7,
                             .middle_steps = 8,
                             .draft_s = 9.125,
                             .middle_s = 10.1,
                             .verify_s = 11.7,
                             .link_wait_s = 12.3,
                             .message_s = 1e-7,
                             .link_bytes = 14000000000,
                             .n_messages = 15,
                             .effective_resident = 16,
                             .n_selected = 17,
                             .kv_on_chip = 18,
                             .kv_resident = 19,
                             .kv_tail = 20,
                             .kv_retrieval = 21,
                             .kv_staging = 22,
                             .kv_draft = 23,
                             .kv_allocated = 24,
                             .arena_used = 25,
                             .k_error_prompt = 0.26,
                             .k_error_generated = 0.27,
                             .v_error_prompt = 0.28,
                             .v_error_generated = -1};
    for (uint32_t i = 0; i < MSG_MAX_ROWS; i++) {
        m->accepted_at[i] = 100 + i;
        m->proposed_at[i] = 200 + i;
    }
}

static void assert_same(const struct result *a, const struct result *b)
{
    struct msg_result x = a->meas, y = b->meas;
    assert_int_equal(a->trial, b->trial);
    assert_int_equal(a->method, b->method);
    assert_int_equal(a->document, b->document);
    assert_string_equal(a->document_name, b->document_name);
    assert_int_equal(a->seed, b->seed);
    assert_int_equal(a->ok, b->ok);
    assert_string_equal(a->reason, b->reason);
    assert_string_equal(a->log != NULL ? a->log : "none", b->log != NULL ? b->log : "none");
    assert_close(a->prefill_s, b->prefill_s, 0);
    assert_true(setting_same(&a->setting, &b->setting));
    assert_int_equal(a->n_uses, b->n_uses);
    assert_memory_equal(a->use, b->use, a->n_uses * sizeof *a->use);
    assert_int_equal(x.n_tokens, y.n_tokens);
    if (x.n_tokens > 0)
        assert_memory_equal(x.token, y.token, x.n_tokens * sizeof *x.token);
    assert_int_equal(x.eos, y.eos);
    assert_close(x.setup_s, y.setup_s, 0);
    assert_close(x.decode_s, y.decode_s, 0);
    assert_int_equal(x.rounds, y.rounds);
    assert_int_equal(x.proposed, y.proposed);
    assert_int_equal(x.accepted, y.accepted);
    assert_int_equal(x.draft_proposed, y.draft_proposed);
    assert_int_equal(x.draft_accepted, y.draft_accepted);
    assert_int_equal(x.middle_steps, y.middle_steps);
    assert_memory_equal(x.accepted_at, y.accepted_at, sizeof x.accepted_at);
    assert_memory_equal(x.proposed_at, y.proposed_at, sizeof x.proposed_at);
    assert_close(x.draft_s, y.draft_s, 0);
    assert_close(x.middle_s, y.middle_s, 0);
    assert_close(x.verify_s, y.verify_s, 0);
    assert_close(x.link_wait_s, y.link_wait_s, 0);
    assert_close(x.message_s, y.message_s, 0);
    assert_int_equal(x.link_bytes, y.link_bytes);
    assert_int_equal(x.n_messages, y.n_messages);
    assert_int_equal(x.effective_resident, y.effective_resident);
    assert_int_equal(x.n_selected, y.n_selected);
    assert_int_equal(x.kv_on_chip, y.kv_on_chip);
    assert_int_equal(x.kv_resident, y.kv_resident);
    assert_int_equal(x.kv_tail, y.kv_tail);
    assert_int_equal(x.kv_retrieval, y.kv_retrieval);
    assert_int_equal(x.kv_staging, y.kv_staging);
    assert_int_equal(x.kv_draft, y.kv_draft);
    assert_int_equal(x.kv_allocated, y.kv_allocated);
    assert_int_equal(x.arena_used, y.arena_used);
    assert_close(x.k_error_prompt, y.k_error_prompt, 0);
    assert_close(x.k_error_generated, y.k_error_generated, 0);
    assert_close(x.v_error_prompt, y.v_error_prompt, 0);
    assert_close(x.v_error_generated, y.v_error_generated, 0);
    assert_memory_equal(&a->ceilings, &b->ceilings, sizeof a->ceilings);
}

static void every_field_survives_the_file(void **state)
{
    struct experiment *e = sample_parse(sample_text);
    struct matrix *m = sample_matrix(e, 8);
    int32_t tokens[3] = {0, 7, 31999};
    struct msg_result meas;
    struct result good, bad;
    struct results_file *f = NULL;
    struct results back;
    struct err err = {{0}};

    fill(&meas, tokens);
    result_init(&good, &m->trial[m->n_trials - 1], 3.5, &meas, "words of an earlier wait");
    strcpy(good.document_name, "two, \"\xC3\xA9\"\\.txt");
    good.ceilings =
        (struct ceilings){1.5, 2.5, 3.5, {1, 2, 3, 4, 5, 6e9, 7e9}, {8, 9, 1, 2, 3, 4, 0}};
    result_init(&bad, &m->trial[0], 3.5, NULL, "the draft worker\ndied \"early\"");
    result_set_log(&bad, "one line\nand \"another\"");
    assert_int_equal(results_open(&f, path, e, &err), ST_OK);
    assert_int_equal(results_append(f, &good, &err), ST_OK);
    assert_int_equal(results_append(f, &bad, &err), ST_OK);
    results_close(f);
    assert_int_equal(results_read(&back, path, e, &err), ST_OK);
    assert_int_equal(back.n, 2);
    assert_int_equal(back.torn_bytes, 0);
    assert_same(&back.result[0], &good);
    assert_same(&back.result[1], &bad);
    results_release(&back);
    result_release(&good);
    result_release(&bad);
    matrix_close(m);
    experiment_free(e);
}

static void one_result(struct experiment **e, struct matrix **m, struct result *r)
{
    struct msg_result meas = sample_measured(50, 60);
    *e = sample_parse(sample_text);
    *m = sample_matrix(*e, 8);
    result_init(r, &(*m)->trial[0], 1, &meas, NULL);
}

static void a_torn_last_line_is_reported_and_kept(void **state)
{
    struct experiment *e;
    struct matrix *m;
    struct result r;
    struct results_file *f = NULL;
    struct results back;
    struct err err = {{0}};

    one_result(&e, &m, &r);
    assert_int_equal(results_open(&f, path, e, &err), ST_OK);
    assert_int_equal(results_append(f, &r, &err), ST_OK);
    results_close(f);
    size_t whole = file_size();
    append_text("{\"trial\":1,\"cel");
    assert_int_equal(results_read(&back, path, e, &err), ST_OK);
    assert_int_equal(back.n, 1);
    assert_int_equal(back.torn_bytes, 15);
    assert_int_equal(back.torn_line, 2);
    assert_int_equal(file_size(), whole + 15);
    results_release(&back);
    /* Never written over: neither torn nor whole. */
    assert_int_equal(results_open(&f, path, e, &err), ST_IO);
    assert_non_null(strstr(err.text, "File exists"));
    assert_int_equal(file_size(), whole + 15);
    result_release(&r);
    matrix_close(m);
    experiment_free(e);
}

static void every_cut_of_a_line_is_torn_or_refused(void **state)
{
    struct experiment *e;
    struct matrix *m;
    struct result r, back;
    struct err err = {{0}};

    one_result(&e, &m, &r);
    char *line = result_json_write(&r, e);
    size_t n = strlen(line);
    for (size_t cut = 0; cut < n; cut++) {
        char *exact = malloc(cut > 0 ? cut : 1);
        memcpy(exact, line, cut);
        assert_int_equal(result_json_read(&back, exact, cut, e, &err), ST_CORRUPT);
        free(exact);
    }
    assert_int_equal(result_json_read(&back, line, n, e, &err), ST_OK);
    result_release(&back);
    free(line);
    result_release(&r);
    matrix_close(m);
    experiment_free(e);
}

static void refuse_change(const char *line, const struct experiment *e, const char *old,
                          const char *new, const char *words)
{
    struct result back;
    struct err err = {{0}};
    const char *at = strstr(line, old);
    if (at == NULL)
        fail_msg("%s is not in %s", old, line);
    char *text = mem_printf("%.*s%s%s", (int)(at - line), line, new, at + strlen(old));
    assert_int_equal(result_json_read(&back, text, strlen(text), e, &err), ST_CORRUPT);
    assert_string_equal(err.text, words);
    free(text);
}

static void a_wrong_field_is_named(void **state)
{
    struct experiment *e;
    struct matrix *m;
    struct result r;
    one_result(&e, &m, &r);
    char *line = result_json_write(&r, e);
    refuse_change(line, e, "\"rounds\":10", "\"rounds\":-1", "field \"rounds\" is absent or wrong");
    refuse_change(line, e, "\"rounds\":10", "\"round\":10", "field \"rounds\" is absent or wrong");
    refuse_change(line, e, "\"method\":\"baseline\"", "\"method\":\"base\"",
                  "field \"method\" is absent or wrong");
    refuse_change(line, e, "\"document\":0", "\"document\":64",
                  "field \"document\" is absent or wrong");
    refuse_change(line, e, "\"document_name\":\"\"", "\"document_name\":3",
                  "field \"document_name\" is absent or wrong");
    refuse_change(line, e, "\"document_name\":\"\"",
                  "\"document_name\":\"0123456789012345678901234567890123456789012345678901234567"
                  "890123\"",
                  "field \"document_name\" is absent or wrong");
    refuse_change(line, e, "\"status\":\"ok\"", "\"status\":\"fine\"",
                  "field \"status\" is absent or wrong");
    refuse_change(line, e, "\"study\":\"a1\"", "\"study\":\"zz\"",
                  "field \"cells\" is absent or wrong");
    refuse_change(line, e, "\"point\":0", "\"point\":2", "field \"cells\" is absent or wrong");
    refuse_change(line, e, "\"top_p\":0.9", "\"top_p\":true,\"x\":0.9",
                  "field \"top_p\" is absent or wrong");
    refuse_change(line, e, "\"tokens\":[0", "\"tokens\":[-1",
                  "field \"tokens\" is absent or wrong");
    refuse_change(line, e, line, "[]", "not an object; one trial's object would be right");
    free(line);
    result_release(&r);
    matrix_close(m);
    experiment_free(e);
}

static void a_bad_line_inside_the_file_is_refused_with_its_number(void **state)
{
    struct experiment *e = sample_parse(sample_text);
    struct results back;
    struct err err = {{0}};
    append_text("nonsense\n");
    assert_int_equal(results_read(&back, path, e, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, ":1: no JSON"));
    experiment_free(e);
}

/* A full disk, as a file-size limit gives it: part of the line is written. */
static void a_write_that_ends_early_leaves_only_whole_lines(void **state)
{
    struct experiment *e;
    struct matrix *m;
    struct result r;
    struct results_file *f = NULL;
    struct results back;
    struct rlimit old, tight;
    struct err err = {{0}};

    one_result(&e, &m, &r);
    assert_int_equal(results_open(&f, path, e, &err), ST_OK);
    assert_int_equal(results_append(f, &r, &err), ST_OK);
    size_t whole = file_size();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    tight = (struct rlimit){.rlim_cur = whole + 100, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum status st = results_append(f, &r, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(st, ST_IO);
    assert_int_equal(file_size(), whole);
    assert_int_equal(results_append(f, &r, &err), ST_OK);
    results_close(f);
    assert_int_equal(results_read(&back, path, e, &err), ST_OK);
    assert_int_equal(back.n, 2);
    results_release(&back);
    result_release(&r);
    matrix_close(m);
    experiment_free(e);
}

static void a_file_goes_on_behind_its_whole_lines(void **state)
{
    struct experiment *e;
    struct matrix *m;
    struct result r;
    struct results_file *f = NULL;
    struct results back;
    struct err err = {{0}};

    one_result(&e, &m, &r);
    assert_int_equal(results_continue(&f, path, 0, e, &err), ST_IO); /* there is none */
    assert_int_equal(results_open(&f, path, e, &err), ST_OK);
    assert_int_equal(results_append(f, &r, &err), ST_OK);
    results_close(f);
    append_text("{\"trial\":1,\"cel");
    assert_int_equal(results_read(&back, path, e, &err), ST_OK);
    size_t whole = back.whole_bytes;
    results_release(&back);
    assert_int_equal(whole + 15, file_size());
    assert_int_equal(results_continue(&f, path, whole, e, &err), ST_OK);
    assert_int_equal(file_size(), whole);
    assert_int_equal(results_append(f, &r, &err), ST_OK);
    results_close(f);
    assert_int_equal(results_read(&back, path, e, &err), ST_OK);
    assert_int_equal(back.n, 2);
    assert_int_equal(back.torn_bytes, 0);
    assert_int_equal(back.whole_bytes, 2 * whole);
    results_release(&back);
    result_release(&r);
    matrix_close(m);
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_survives_the_file, make_path, drop_path),
        cmocka_unit_test_setup_teardown(a_file_goes_on_behind_its_whole_lines, make_path,
                                        drop_path),
        cmocka_unit_test_setup_teardown(a_torn_last_line_is_reported_and_kept, make_path,
                                        drop_path),
        cmocka_unit_test(every_cut_of_a_line_is_torn_or_refused),
        cmocka_unit_test(a_wrong_field_is_named),
        cmocka_unit_test_setup_teardown(a_bad_line_inside_the_file_is_refused_with_its_number,
                                        make_path, drop_path),
        cmocka_unit_test_setup_teardown(a_write_that_ends_early_leaves_only_whole_lines, make_path,
                                        drop_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
