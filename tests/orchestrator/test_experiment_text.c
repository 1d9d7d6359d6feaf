/* The keys dataset, skip_short, template and chat. */
#include "tests/orchestrator/sample.h"

#define MINIMAL "target: t\ndraft: d\ndataset: demo\nprefill: 100\n"

static const struct refusal {
    const char *text;
    const char *words; /* all of err.text */
} refusals[] = {
    {"target: t\ndataset: {field: a}\n",
     "f.yaml:2:10: dataset has no path; {path: FILE.jsonl, field: NAME} would be right"},
    {"target: t\ndataset: {path: a, feld: b}\n",
     "f.yaml:2:20: unknown key \"feld\" in dataset; \"field\" would be right"},
    {"target: t\ndataset: {path: a, field: a..b}\n",
     "f.yaml:2:27: field is a..b; a name, or names with dots between (\"a.b\"), would be right"},
    {"target: t\ndataset: {path: a, field: \"\"}\n",
     "f.yaml:2:27: field is empty; a text would be right"},
    {"target: t\ndataset: [a]\n", "f.yaml:2:10: dataset is a list; one value would be right"},
    {"target: t\ndataset: {path: [a]}\n", "f.yaml:2:17: path is a list; one value would be right"},
    {MINIMAL "template: sumarize\n", "f.yaml:5:11: template is sumarize; one of "
                                     "none|summarize|continue or {file: PATH} would be right"},
    {MINIMAL "template: [none]\n", "f.yaml:5:11: template is a list; one of "
                                   "none|summarize|continue or {file: PATH} would be right"},
    {MINIMAL "template: {}\n", "f.yaml:5:11: template has no file; {file: PATH} would be right"},
    {MINIMAL "template: {path: a}\n",
     "f.yaml:5:12: unknown key \"path\" in template; \"file\" would be right"},
    {MINIMAL "template: {file: [a]}\n", "f.yaml:5:18: file is a list; one value would be right"},
    {MINIMAL "chat: on\n", "f.yaml:5:7: chat is on; true or false would be right"},
    {MINIMAL "skip_short: 1\n", "f.yaml:5:13: skip_short is 1; true or false would be right"},
};

static void every_refusal_names_its_place_and_what_would_be_right(void **state)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct experiment *e = NULL;
        struct err err = {{0}};
        const char *text = refusals[i].text;
        assert_int_equal(experiment_parse(&e, "f.yaml", text, strlen(text), NULL, 0, &err),
                         ST_INVALID);
        assert_null(e);
        assert_string_equal(err.text, refusals[i].words);
    }
}

static enum status parse_set(struct experiment **e, const char *text, const char *a, const char *b,
                             struct err *err)
{
    const char *set[] = {a, b};
    return experiment_parse(e, "dir/f.yaml", text, strlen(text), set, b != NULL ? 2 : 1, err);
}

static void prompts_are_said_in_the_file_and_by_set(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    static const char text[] = "target: t\ndraft: d\nprefill: 9\ndataset: {path: b.jsonl}\n"
                               "template: {file: t.txt}\nchat: true\nskip_short: true\n";
    assert_int_equal(parse_set(&e, text, "seed=1", NULL, &err), ST_OK);
    assert_string_equal(e->dataset, "dir/b.jsonl");
    assert_string_equal(e->dataset_field, "text");
    assert_string_equal(e->dataset_at, "dir/f.yaml:4:10");
    assert_string_equal(e->template_file, "dir/t.txt");
    assert_null(e->template_word);
    assert_true(e->chat && e->skip_short);
    experiment_free(e);

    assert_int_equal(parse_set(&e, text, "dataset.field=a.b", "template=summarize", &err), ST_OK);
    assert_string_equal(e->dataset, "dir/b.jsonl");
    assert_string_equal(e->dataset_field, "a.b");
    assert_string_equal(e->template_word, "summarize");
    assert_null(e->template_file);
    experiment_free(e);

    assert_int_equal(parse_set(&e, text, "dataset=demo", "template.file=u.txt", &err), ST_OK);
    assert_string_equal(e->dataset, "demo");
    assert_null(e->dataset_field);
    assert_string_equal(e->template_file, "u.txt");
    experiment_free(e);
}

static void what_is_read_must_be_there_and_of_the_right_kind(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    static const char text[] = "target: /\ndraft: none\nmethods: [baseline]\nprefill: 9\n"
                               "dataset: /\n";
    assert_int_equal(parse_set(&e, text, "seed=1", NULL, &err), ST_OK);
    assert_int_equal(experiment_check_paths(e, &err), ST_OK); /* a folder is a dataset */
    experiment_free(e);
    assert_int_equal(parse_set(&e, text, "dataset={path: /}", NULL, &err), ST_OK);
    assert_int_equal(experiment_check_paths(e, &err), ST_INVALID);
    assert_string_equal(err.text, "--set dataset={path: /}: dataset / is no file");
    experiment_free(e);
    assert_int_equal(parse_set(&e, text, "template.file=/nonexistent/t", NULL, &err), ST_OK);
    assert_int_equal(experiment_check_paths(e, &err), ST_INVALID);
    assert_string_equal(err.text, "--set template.file=/nonexistent/t: template /nonexistent/t: No "
                                  "such file or directory");
    experiment_free(e);
    assert_int_equal(parse_set(&e, text, "dataset=/dev/null", NULL, &err), ST_OK);
    assert_int_equal(experiment_check_paths(e, &err), ST_INVALID);
    assert_string_equal(err.text, "--set dataset=/dev/null: dataset /dev/null is no file and no "
                                  "folder");
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_names_its_place_and_what_would_be_right),
        cmocka_unit_test(prompts_are_said_in_the_file_and_by_set),
        cmocka_unit_test(what_is_read_must_be_there_and_of_the_right_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
