#include "tests/orchestrator/sample.h"

#include "kernels/kv_format.h"

#define MINIMAL "target: t\ndraft: d\ndataset: demo\nprefill: 100\n"

struct refusal {
    const char *text;
    const char *words; /* all of err.text */
};

/* MINIMAL has four lines, so that what follows it begins in line 5. */
static const struct refusal refusals[] = {
    /* the text as such */
    {"", "f.yaml:1:1: nothing is said here"},
    {"# only a comment\n", "f.yaml:1:1: nothing is said here"},
    {"- a\n", "f.yaml:1:1: an experiment is a list; a mapping would be right"},
    {"just words\n", "f.yaml:1:1: an experiment is one value; a mapping would be right"},
    {"target: [t\n", "f.yaml:2:1: did not find expected ',' or ']'"},
    {"target: t\n\tdraft: d\n", "f.yaml:2:1: found a tab character that violates indentation"},
    {"target: t\xff\n", "f.yaml:1:10: invalid leading UTF-8 octet"},
    {"target: \"a\\0b\"\n", "f.yaml:1:9: a NUL character in a text"},
    {MINIMAL "---\na: b\n", "f.yaml:5:1: a second document; one file is one experiment"},
    {"%YAML 1.1\n---\na: b\n", "f.yaml:1:1: % directives are not understood"},
    {"target: &x t\n",
     "f.yaml:1:9: anchors and aliases (& and *) are not understood; repeat the value"},
    {"target: *x\n",
     "f.yaml:1:9: anchors and aliases (& and *) are not understood; repeat the value"},
    {"seeds: !!seq [1]\n", "f.yaml:1:8: tags (!) are not understood; write the plain value"},
    {"target: t\ndraft: d\ntarget: u\n", "f.yaml:3:1: \"target\" stands twice, first in line 1"},
    {"? [a, b]\n: c\n", "f.yaml:1:3: a key is a word, not a list"},
    {"a: [[[[[[[[1]]]]]]]]\n", "f.yaml:1:11: nested too deeply (8 levels at most)"},
    /* keys */
    {MINIMAL "gama: 8\n", "f.yaml:5:1: unknown key \"gama\"; did you mean \"gamma\"?"},
    {MINIMAL "zzzzzzzz: 8\n", "f.yaml:5:1: unknown key \"zzzzzzzz\"; FORMATS.md lists the keys"},
    {MINIMAL "draft_window: {sink: 4}\n",
     "f.yaml:5:16: unknown key \"sink\" in draft_window; \"sinks\" would be right"},
    {MINIMAL "devices: {verfy: cpu:0}\n",
     "f.yaml:5:11: unknown key \"verfy\" in devices; \"verify\" would be right"},
    {"dataset: demo\nprefill: 1\n",
     "f.yaml:1:1: no target; target: DIR (a checkpoint) would be right"},
    {"target: t\n", "f.yaml:1:1: no dataset; dataset: demo, a text file, a folder or a "
                    ".jsonl file would be right"},
    {"target: t\ndraft: d\ndataset: demo\n",
     "f.yaml:1:1: study f says no prefill; prefill: [8192, ...] would be right"},
    {"target: t\ndataset: demo\nprefill: 9\n",
     "f.yaml:1:1: study f runs vanilla_specdec, which needs a draft; draft: DIR would be right"},
    /* numbers */
    {MINIMAL "gamma: 0\n", "f.yaml:5:8: gamma is 0; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma: 33\n", "f.yaml:5:8: gamma is 33; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma: 12abc\n",
     "f.yaml:5:8: gamma is 12abc; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma: 1e1\n",
     "f.yaml:5:8: gamma is 1e1; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma: 010\n",
     "f.yaml:5:8: gamma is 010; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma: \"8\"\n",
     "f.yaml:5:8: gamma is \"8\"; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma:\n", "f.yaml:5:7: gamma is ; a whole number from 1 to 32 would be right"},
    {MINIMAL "gamma: {a: 1}\n", "f.yaml:5:8: gamma is a mapping; one value would be right"},
    {MINIMAL "on_chip: -1\n",
     "f.yaml:5:10: on_chip is -1; a whole number from 0 to 256 would be right"},
    {MINIMAL "budget: 128k\n",
     "f.yaml:5:9: budget is 128k; a whole number from 1 to 131072 would be right"},
    {MINIMAL "budget: 7\n", "f.yaml:5:9: budget 7 is less than one chunk of 8 tokens"},
    {MINIMAL "chunk: 0\n", "f.yaml:5:8: chunk is 0; a whole number from 1 to 1024 would be right"},
    {MINIMAL "gamma: 2\ngamma_draft: 3\n",
     "f.yaml:6:14: gamma_draft 3 is more than gamma 2; at most gamma would be right"},
    {MINIMAL "top_p: 0\n", "f.yaml:5:8: top_p is 0; a number above 0 and at most 1 would be right"},
    {MINIMAL "top_p: 1.01\n",
     "f.yaml:5:8: top_p is 1.01; a number above 0 and at most 1 would be right"},
    {MINIMAL "top_p: nan\n",
     "f.yaml:5:8: top_p is nan; a number above 0 and at most 1 would be right"},
    {MINIMAL "temperature: -0.1\n",
     "f.yaml:5:14: temperature is -0.1; a number of at least 0 and at most 100 would be right"},
    {MINIMAL "temperature: .inf\n",
     "f.yaml:5:14: temperature is .inf; a number of at least 0 and at most 100 would be right"},
    {MINIMAL "ignore_eos: yes\n", "f.yaml:5:13: ignore_eos is yes; true or false would be right"},
    {MINIMAL "warmup: \"true\"\n", "f.yaml:5:9: warmup is \"true\"; true or false would be right"},
    {MINIMAL "kv_format: int5\n",
     "f.yaml:5:12: kv_format is int5; one of f32|f16|int8|int4 would be right"},
    {MINIMAL "acceptance: greedy\n",
     "f.yaml:5:13: acceptance is greedy; one of rejection|coupled would be right"},
    {MINIMAL "documents: 65\n",
     "f.yaml:5:12: documents is 65; a whole number from 1 to 64 would be right"},
    {MINIMAL "timeout_s: 0\n",
     "f.yaml:5:12: timeout_s is 0; a number above 0 and at most 1e+06 would be right"},
    /* lists */
    {MINIMAL "gamma: []\n", "f.yaml:5:8: gamma lists 0 values; 1 to 32 would be right"},
    {MINIMAL "gamma: [1, 2,\n  1]\n", "f.yaml:6:3: gamma: 1 stands twice in the list"},
    {MINIMAL "gamma: [1, 99]\n",
     "f.yaml:5:12: gamma is 99; a whole number from 1 to 32 would be right"},
    {MINIMAL "kv_format: [int8, int4]\n",
     "f.yaml:5:12: kv_format cannot be swept; one value would be right"},
    {MINIMAL "gamma: [1]\nbudget: [64]\nchunk: [8]\n",
     "f.yaml:7:8: chunk is a third list; a study sweeps at most two settings"},
    {MINIMAL "seeds: []\n", "f.yaml:5:8: seeds lists 0 values; 1 to 64 would be right"},
    {MINIMAL "seeds: [1, 2, 1]\n", "f.yaml:5:15: seeds: 1 stands twice in the list"},
    {MINIMAL "seeds: [1]\nseed: 2\n",
     "f.yaml:6:7: seed and seeds are both given; one of them would be right"},
    {MINIMAL "methods: []\n", "f.yaml:5:10: methods is an empty list; one or more of "
                              "baseline|vanilla_specdec|mspeckv|mspeckv_kv_quant would be right"},
    {MINIMAL "methods: [mspeckv, mspeckv]\n",
     "f.yaml:5:20: methods: mspeckv stands twice in the list"},
    {MINIMAL "methods: [mspeck]\n", "f.yaml:5:11: methods is mspeck; one of "
                                    "baseline|vanilla_specdec|mspeckv|mspeckv_kv_quant would be "
                                    "right"},
    {MINIMAL "methods: mspeckv\n", "f.yaml:5:10: methods is one value; a list would be right"},
    {MINIMAL "methods: [mspeckv]\nreference: baseline\n",
     "f.yaml:6:12: reference is baseline; one of the study's methods would be right"},
    /* words */
    {MINIMAL "name: a/b\n",
     "f.yaml:5:7: name is a/b; letters, digits, '_', '-' and '.' would be right"},
    {MINIMAL "name: ..\n",
     "f.yaml:5:7: name is ..; letters, digits, '_', '-' and '.' would be right"},
    {MINIMAL "title: \"a\\nb\"\n",
     "f.yaml:5:8: title holds a control character; one line of text would be right"},
    {MINIMAL "out: \"\"\n", "f.yaml:5:6: out is empty; a text would be right"},
    {MINIMAL "study: a-name-of-sixteen\n",
     "f.yaml:5:8: study has 17 bytes; at most 15 would be right"},
    {MINIMAL "link: fast\n",
     "f.yaml:5:7: link is no link; none, {simulate_gbps: X} or {simulate_ratio: R} would be right"},
    {MINIMAL "link: {}\n",
     "f.yaml:5:7: link has 0 keys; either simulate_gbps or simulate_ratio would be right"},
    {MINIMAL "link: {simulate_gbps: 1, simulate_ratio: 2}\n",
     "f.yaml:5:7: link has 2 keys; either simulate_gbps or simulate_ratio would be right"},
    {MINIMAL "link: {simulate_ratio: 0.5}\n",
     "f.yaml:5:24: simulate_ratio is 0.5; a number of at least 1 and at most 1e+06 would be right"},
    {MINIMAL "devices: {verify: gpu:0}\n",
     "f.yaml:5:19: verify is gpu:0; cpu:N or cuda:N would be right"},
    {MINIMAL "devices: {draft: \"cuda:\"}\n",
     "f.yaml:5:18: draft is cuda:; cpu:N or cuda:N would be right"},
    {MINIMAL "arena: hugetlb\n", "f.yaml:5:8: arena is hugetlb; one of posix|memfd would be right"},
    {MINIMAL "numa_node: -1\n",
     "f.yaml:5:12: numa_node is -1; a whole number from 0 to 1023 would be right"},
    /* a key that no row above breaks */
    {"target: \"\"\n", "f.yaml:1:9: target is empty; a text would be right"},
    {"target: t\ndraft: [a]\n", "f.yaml:2:8: draft is a list; one value would be right"},
    {"target: t\ndraft: d\ndataset: \"\"\n",
     "f.yaml:3:10: dataset is empty; a text would be right"},
    {"target: t\ndraft: d\ndataset: demo\nprefill: 0\n",
     "f.yaml:4:10: prefill is 0; a whole number from 1 to 131072 would be right"},
    {MINIMAL "gen_len: 0\n",
     "f.yaml:5:10: gen_len is 0; a whole number from 1 to 65536 would be right"},
    {MINIMAL "resident_layers: 257\n",
     "f.yaml:5:18: resident_layers is 257; a whole number from 0 to 256 would be right"},
    {MINIMAL "staging_layers: 300\n",
     "f.yaml:5:17: staging_layers is 300; a whole number from 0 to 256 would be right"},
    {MINIMAL "gamma_draft: 0\n",
     "f.yaml:5:14: gamma_draft is 0; a whole number from 1 to 32 would be right"},
    {MINIMAL "document_seed: -1\n", "f.yaml:5:16: document_seed is -1; a whole number from 0 to "
                                    "9223372036854775743 would be right"},
    {MINIMAL "seed: x\n",
     "f.yaml:5:7: seeds is x; a whole number from 0 to 9223372036854775807 would be right"},
    {MINIMAL "threads: 1025\n",
     "f.yaml:5:10: threads is 1025; a whole number from 0 to 1024 would be right"},
    {MINIMAL "draft_window: 5\n",
     "f.yaml:5:15: draft_window is one value; a mapping would be right"},
    {MINIMAL "draft_window: {sinks: -1}\n",
     "f.yaml:5:23: sinks is -1; a whole number from 0 to 4096 would be right"},
    {MINIMAL "draft_window: {recent: 0}\n",
     "f.yaml:5:24: recent is 0; a whole number from 1 to 131072 would be right"},
    {MINIMAL "devices: cpu:0\n", "f.yaml:5:10: devices is no place; {verify: cpu:0, draft: cpu:0} "
                                 "or a list of such would be right"},
    /* several studies */
    {MINIMAL "studies: []\n", "f.yaml:5:10: studies lists 0; 1 to 4 would be right"},
    {MINIMAL "studies: a1\n", "f.yaml:5:10: studies is one value; a list would be right"},
    {MINIMAL "studies:\n- a1\n", "f.yaml:6:3: a study is one value; a mapping would be right"},
    {MINIMAL "studies:\n- gamma: 2\n",
     "f.yaml:6:3: the study has no name; study: WORD would be right"},
    {MINIMAL "studies:\n- study: a\n- study: a\n", "f.yaml:7:3: a second study named a"},
    {MINIMAL "studies:\n- study: a\n  target: x\n",
     "f.yaml:7:3: \"target\" is a key of the whole file; it would be right outside the studies"},
    {MINIMAL "studies:\n- study: a\n  on_chp: 1\n",
     "f.yaml:7:3: unknown key \"on_chp\"; did you mean \"on_chip\"?"},
    {MINIMAL "methods: [mspeckv]\nstudies:\n- study: a\n",
     "f.yaml:5:1: \"methods\" is a key of one study; it would be right inside studies"},
    {MINIMAL "gamma: [2, 4]\nstudies:\n- study: a\n",
     "f.yaml:5:8: gamma is a list beside several studies; it would be right inside the study that "
     "sweeps it"},
};

/* So that a new key cannot come without the line that refuses it. */
static void every_setting_has_a_refusal(void **state)
{
    for (size_t k = 0; k < SETTING_KEYS; k++) {
        char words[64];
        bool found = false;
        snprintf(words, sizeof words, ": %s is ", setting_keys[k].key);
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
            found = found || strstr(refusals[i].words, words) != NULL;
        if (!found)
            fail_msg("no refusal of %s", setting_keys[k].key);
    }
}

static void every_refusal_names_its_place_and_what_would_be_right(void **state)
{
    int n_wrong = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct experiment *e = NULL;
        struct err err = {{0}};
        size_t n = strlen(refusals[i].text);
        /* An exact heap copy, so that reading past the end is seen. */
        char *text = malloc(n + 1);
        memcpy(text, refusals[i].text, n);
        char *exact = realloc(text, n > 0 ? n : 1);
        enum status st = experiment_parse(&e, "f.yaml", exact, n, NULL, 0, &err);
        free(exact);
        assert_null(e);
        assert_int_equal(st, ST_INVALID);
        if (strcmp(err.text, refusals[i].words) == 0)
            continue;
        print_error("said:   %s\nwanted: %s\n", err.text, refusals[i].words);
        n_wrong++;
    }
    assert_int_equal(n_wrong, 0);
}

static enum status parse_set(struct experiment **e, const char *text, const char *a, const char *b,
                             struct err *err)
{
    const char *set[] = {a, b};
    return experiment_parse(e, "dir/f.yaml", text, strlen(text), set, b != NULL ? 2 : 1, err);
}

static void every_wrong_set_is_named(void **state)
{
    static const struct refusal sets[] = {
        {"gamma=33", "--set gamma=33: gamma is 33; a whole number from 1 to 32 would be right"},
        {"gama=3", "--set gama=3: unknown key \"gama\"; did you mean \"gamma\"?"},
        {"gamma", "--set gamma: key=value would be right"},
        {"=3", "--set =3: key=value would be right"},
        {"ga mma=3", "--set ga mma=3: key=value would be right"},
        {"gamma=", "--set gamma=: no value stands after the ="},
        {"gamma=[1", "--set gamma=[1: did not find expected ',' or ']'"},
        {"gamma=[1, 1]", "--set gamma=[1, 1]: gamma: 1 stands twice in the list"},
        {"seeds=*x", "--set seeds=*x: anchors and aliases (& and *) are not understood; repeat the "
                     "value"},
        {"x.gamma=3", "--set x.gamma=3: unknown key \"x\"; FORMATS.md lists the keys"},
        {"link.simulate=3", "--set link.simulate=3: unknown key \"simulate\" in link; "
                            "\"simulate_gbps\" would be right"},
        {"title=\xff", "--set title=...: byte 7 is no UTF-8"},
        {"gamma=3 # three", "--set gamma=3 # three: gamma is 3 # three; a whole number from 1 to "
                            "32 would be right"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct experiment *e = NULL;
        struct err err = {{0}};
        assert_int_equal(parse_set(&e, MINIMAL, sets[i].text, NULL, &err), ST_INVALID);
        assert_string_equal(err.text, sets[i].words);
    }
}

static void a_set_of_several_studies_must_say_whose_sweep(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    assert_int_equal(parse_set(&e, sample_text, "gamma=[1,2]", NULL, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "STUDY.gamma=... would say whose sweep"));
    assert_int_equal(parse_set(&e, sample_text, "resident_layers=2", NULL, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "a study of the file sweeps resident_layers"));
}

static void a_set_replaces_what_the_file_says(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    assert_int_equal(parse_set(&e, MINIMAL "gamma: [1, 2]\n", "gamma=5", "prefill=[10, 20]", &err),
                     ST_OK);
    assert_int_equal(e->study[0].n_sweeps, 1);
    assert_string_equal(e->study[0].sweep[0].key, "prefill");
    assert_int_equal(e->study[0].fixed.gamma, 5);
    assert_int_equal(e->study[0].fixed.prefill, 10);
    experiment_free(e);

    assert_int_equal(parse_set(&e, sample_text, "a2.resident_layers=[0, 2, 4]", "gen_len=7", &err),
                     ST_OK);
    assert_int_equal(e->study[1].sweep[0].n_values, 3);
    assert_int_equal(e->study[0].fixed.resident_layers, 4);
    assert_int_equal(e->study[0].fixed.gen_len, 7);
    assert_int_equal(e->study[1].fixed.gen_len, 7);
    experiment_free(e);

    assert_int_equal(parse_set(&e, sample_text, "link.simulate_ratio=62", "seed=9", &err), ST_OK);
    assert_int_equal(e->link, LINK_RATIO);
    assert_close(e->link_value, 62, 0);
    assert_int_equal(e->n_seeds, 1);
    assert_int_equal(e->seed[0], 9);
    experiment_free(e);
}

static void paths_of_the_file_belong_to_its_folder_and_those_of_a_set_do_not(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    static const char text[] = "target: t\ndraft: /abs/d\ndataset: demo\nprefill: 9\nout: o\n";
    assert_int_equal(parse_set(&e, text, "seed=1", NULL, &err), ST_OK);
    assert_string_equal(e->target, "dir/t");
    assert_string_equal(e->target_at, "dir/f.yaml:1:9");
    assert_string_equal(e->draft, "/abs/d");
    assert_string_equal(e->dataset, "demo");
    assert_string_equal(e->out, "dir/o");
    experiment_free(e);
    assert_int_equal(parse_set(&e, text, "target=a b: #c", "dataset=x.txt", &err), ST_OK);
    assert_string_equal(e->target, "a b: #c");
    assert_string_equal(e->dataset, "x.txt");
    assert_int_equal(experiment_check_paths(e, &err), ST_INVALID);
    assert_string_equal(err.text, "--set target=a b: #c: target a b: #c: No such file or "
                                  "directory; --set target=DIR would name another");
    experiment_free(e);
}

static void defaults_are_those_of_the_study(void **state)
{
    struct experiment *e = sample_parse(MINIMAL);
    const struct setting *s = &e->study[0].fixed;
    assert_string_equal(e->name, "sample"); /* of the path dir/sample.yaml */
    assert_int_equal(s->gamma, 8);
    assert_int_equal(s->gamma_draft, 1);
    assert_int_equal(s->budget, 4096);
    assert_int_equal(s->chunk, 8);
    assert_int_equal(s->on_chip, 16);
    assert_int_equal(s->resident_layers, 16);
    assert_int_equal(s->gen_len, 256);
    assert_close(s->temperature, 0.6, 0);
    assert_close(s->top_p, 0.9, 0);
    assert_int_equal(s->kv_format, KV_INT8);
    assert_int_equal(s->acceptance, ACCEPT_REJECTION);
    assert_true(s->ignore_eos);
    assert_int_equal(e->sinks + e->window, 16 + 232);
    assert_int_equal(e->n_documents, 3);
    assert_int_equal(e->n_seeds, 3);
    assert_int_equal(e->seed[2], 3);
    assert_int_equal(e->study[0].n_methods, METHOD_COUNT);
    assert_int_equal(e->study[0].reference, METHOD_BASELINE);
    assert_int_equal(e->link, LINK_NONE);
    assert_true(e->warmup);
    experiment_free(e);
}

static void a_name_from_the_path_has_plain_letters_only(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    assert_int_equal(
        experiment_parse(&e, "x/a,b \xff.yaml", MINIMAL, strlen(MINIMAL), NULL, 0, &err), ST_OK);
    assert_string_equal(e->name, "a_b__");
    assert_string_equal(e->study[0].name, "a_b__");
    experiment_free(e);
}

static void baseline_alone_needs_no_draft(void **state)
{
    struct experiment *e =
        sample_parse("target: t\ndraft: none\ndataset: demo\nprefill: 9\nmethods: [baseline]\n");
    assert_null(e->draft);
    experiment_free(e);
}

static void a_file_that_is_absent_too_long_or_none_is_refused(void **state)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    assert_int_equal(experiment_read(&e, "/nonexistent/a.yaml", NULL, 0, &err), ST_NOT_FOUND);
    assert_string_equal(err.text, "open /nonexistent/a.yaml: No such file or directory");
    assert_int_equal(experiment_read(&e, "/", NULL, 0, &err), ST_INVALID);
    assert_string_equal(err.text, "/ is no regular file");
    size_t n = EXPERIMENT_MAX_BYTES + 1;
    char *text = malloc(n);
    memset(text, '#', n);
    assert_int_equal(experiment_parse(&e, "f.yaml", text, n, NULL, 0, &err), ST_INVALID);
    assert_string_equal(err.text, "f.yaml: 65537 bytes; an experiment file has at most 65536");
    /* Very many nodes in few bytes. */
    memcpy(text, "a: [", 4);
    for (size_t i = 4; i + 1 < n; i += 2)
        memcpy(text + i, "1,", 2);
    assert_int_equal(experiment_parse(&e, "f.yaml", text, n - 1, NULL, 0, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "more than 4096 values"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_has_a_refusal),
        cmocka_unit_test(every_refusal_names_its_place_and_what_would_be_right),
        cmocka_unit_test(every_wrong_set_is_named),
        cmocka_unit_test(a_set_of_several_studies_must_say_whose_sweep),
        cmocka_unit_test(a_set_replaces_what_the_file_says),
        cmocka_unit_test(paths_of_the_file_belong_to_its_folder_and_those_of_a_set_do_not),
        cmocka_unit_test(defaults_are_those_of_the_study),
        cmocka_unit_test(a_name_from_the_path_has_plain_letters_only),
        cmocka_unit_test(baseline_alone_needs_no_draft),
        cmocka_unit_test(a_file_that_is_absent_too_long_or_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
