/*
 * Checkpoints of random weights in use: a prompt is decoded with them, a study runs with them, and
 * everything that comes of it says that the weights are random.
 */
#include <jansson.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

#define SYNTH                                                                                      \
    "synth --arch custom --hidden 64 --heads 2 --intermediate 96 --vocab 1024 --dtype f32 "

static struct program p;

static void run(const char *arguments)
{
    int status = program_run(&p, arguments);

    if (status != 0)
        fail_msg("mspeckv %s: %d\n%s", arguments, status, program_output(&p));
}

static void expect(const char *words)
{
    if (strstr(program_output(&p), words) == NULL)
        fail_msg("no \"%s\" in\n%s", words, program_output(&p));
}

static int open_program(void **state)
{
    if (!program_init(&p))
        return -1;
    run(SYNTH "--layers 3 --out @/target");
    run(SYNTH "--layers 1 --seed 2 --out @/draft");
    return 0;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

/* The file in the private directory as JSON; json_decref() it. */
static json_t *json_of(const char *name)
{
    char path[256];
    json_t *all;

    snprintf(path, sizeof path, "%s/%s", p.dir, name);
    all = json_load_file(path, 0, NULL);
    assert_non_null(all);
    return all;
}

static void a_prompt_is_decoded_and_the_output_says_random_weights(void **state)
{
    json_t *all;
    size_t n;

    run("generate --target @/target --prompt hello --gen-len 6 --method baseline");
    expect("mspeckv generate: random weights");
    run("generate --target @/target --draft @/draft --prompt hello --gen-len 6 --gamma 2 --method "
        "mspeckv_kv_quant --acceptance coupled --json");
    expect("mspeckv generate: random weights");
    all = json_loads(strchr(program_output(&p), '{'), 0, NULL);
    assert_non_null(all);
    assert_true(json_is_true(json_object_get(all, "random_weights")));
    n = json_array_size(json_object_get(all, "tokens"));
    assert_int_equal(n, 6);
    json_decref(all);
}

/* A random model that answers with one token for ever would measure nothing. */
static void random_weights_do_not_collapse(void **state)
{
    json_t *all, *tokens;
    size_t n_changes = 0;

    run("generate --target @/target --prompt hello --gen-len 40 --temperature 1 --method baseline "
        "--json");
    all = json_loads(strchr(program_output(&p), '{'), 0, NULL);
    assert_non_null(all);
    tokens = json_object_get(all, "tokens");
    for (size_t i = 1; i < json_array_size(tokens); i++)
        n_changes += json_integer_value(json_array_get(tokens, i)) !=
                     json_integer_value(json_array_get(tokens, i - 1));
    assert_true(n_changes > 20);
    json_decref(all);
}

static void a_study_says_random_weights_in_every_result(void **state)
{
    char yaml[1024];
    json_t *all;

    snprintf(yaml, sizeof yaml,
             "name: small\ntarget: %s/target\ndraft: %s/draft\ndataset: demo\ndocuments: 1\n"
             "seeds: [1]\ngen_len: 4\non_chip: 0\nresident_layers: 2\nbudget: 64\ngamma: 2\n"
             "study: small\ntitle: \"Small\"\nmethods: [baseline, mspeckv]\n"
             "reference: baseline\nprefill: [200]\nwarmup: false\n",
             p.dir, p.dir);
    assert_true(program_write(&p, "small.yaml", yaml));
    run("run @/small.yaml --out @/run");
    expect("/target (random weights)");
    expect("/draft (random weights)");
    expect("; random weights");
    all = json_of("run/summary.json");
    assert_true(json_is_true(json_object_get(all, "random_weights")));
    json_decref(all);
    all = json_of("run/manifest.json");
    assert_true(json_is_true(json_object_get(all, "target_random_weights")));
    assert_true(json_is_true(json_object_get(all, "draft_random_weights")));
    json_decref(all);
    assert_true(program_await(&p, "run/summary.md", "; random weights", 1));
    assert_true(program_await(&p, "run/summary.csv", "random_weights", 1));
}

static void a_study_with_real_weights_does_not(void **state)
{
    char words[1024];
    json_t *all;

    snprintf(words, sizeof words,
             "run @/small.yaml --out @/real --set target=%s/experiments/demo/target --set "
             "draft=%s/experiments/demo/draft",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR);
    run(words);
    assert_null(strstr(program_output(&p), "random weights"));
    all = json_of("real/summary.json");
    assert_true(json_is_false(json_object_get(all, "random_weights")));
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_decoded_and_the_output_says_random_weights),
        cmocka_unit_test(random_weights_do_not_collapse),
        cmocka_unit_test(a_study_says_random_weights_in_every_result),
        cmocka_unit_test(a_study_with_real_weights_does_not),
    };
    return cmocka_run_group_tests(tests, open_program, close_program);
}
