/*
 * Whole checkpoints of random weights, as the program writes them: they load, depend on seed and
 * shape alone, fit into little memory, and a failure leaves nothing.
 */
#include <sys/stat.h>

#include "model/checkpoint.h"
#include "model/model.h"
#include "tests/synth/synth_run.h"
#include "text/tokenizer.h"

#define SMALL                                                                                      \
    "--arch custom --hidden 64 --heads 4 --kv-heads 2 --intermediate 96 --layers 3 --vocab 1024"

static struct synth_run r;

static int open_run(void **state)
{
    synth_run_init(&r);
    return 0;
}

static int close_run(void **state)
{
    synth_run_release(&r);
    return 0;
}

static void path_of(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", r.dir, name);
}

static void every_dtype_loads_as_a_model(void **state)
{
    static const char *const dtypes[] = {"bf16", "f16", "f32"};
    const struct device_options opt = {.n_threads = 1};

    for (int i = 0; i < 3; i++) {
        char words[256], path[256];
        struct device *dev = NULL;
        struct model *model = NULL;
        struct err err = {{0}};
        snprintf(words, sizeof words, SMALL " --dtype %s --out @/%s", dtypes[i], dtypes[i]);
        synth_run_expect(&r, words, 0, "random weights");
        path_of(path, dtypes[i]);
        assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
        if (model_open(&model, dev, path, &err) != ST_OK)
            fail_msg("%s", err.text);
        assert_int_equal(model_config(model)->head_dim, 16);
        assert_int_equal(model_config(model)->n_vocab, 1024);
        model_close(model);
        device_close(dev);
    }
}

/* Both have the same tensors with the same bytes, whatever files they lie in. */
static void compare(const char *a_name, const char *b_name, bool equal, size_t n_files)
{
    struct checkpoint a = {0}, b = {0};
    char a_path[256], b_path[256];
    struct err err = {{0}};
    size_t at = 0, n_different = 0;

    path_of(a_path, a_name);
    path_of(b_path, b_name);
    if (checkpoint_open(&a, a_path, &err) != ST_OK || checkpoint_open(&b, b_path, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(b.n_files, n_files);
    assert_int_equal(a.n_files, 1);
    for (size_t i = 0; i < a.file[0].n_entries; i++) {
        const struct safetensors_entry *x = &a.file[0].entry[i];
        const struct safetensors_entry *y = checkpoint_find(&b, x->name, &at);
        assert_non_null(y);
        assert_int_equal(y->end - y->begin, x->end - x->begin);
        n_different +=
            memcmp(a.file[0].bytes + a.file[0].data_at + x->begin,
                   b.file[at].bytes + b.file[at].data_at + y->begin, x->end - x->begin) != 0;
    }
    /* Norms are 1 with every seed: two in each of three layers and one at the end. */
    assert_int_equal(n_different, equal ? 0 : a.file[0].n_entries - 7);
    checkpoint_release(&a);
    checkpoint_release(&b);
}

static void weights_depend_on_the_seed_and_not_on_files_or_threads(void **state)
{
    synth_run_expect(&r, SMALL " --seed 7 --threads 1 --out @/one", 0, "seed 7");
    synth_run_expect(&r, SMALL " --seed 7 --threads 3 --out @/threads", 0, "in 1 file");
    synth_run_expect(&r, SMALL " --seed 7 --shard-size 0.0001 --out @/shards", 0, "in 4 files");
    synth_run_expect(&r, SMALL " --seed 8 --out @/other/", 0, "seed 8");
    compare("one", "threads", true, 1);
    compare("one", "shards", true, 4);
    compare("one", "other", false, 1);
    assert_false(synth_run_has(&r, "one/model.safetensors.index.json"));
    assert_true(synth_run_has(&r, "shards/model-00001-of-00004.safetensors"));
}

/* 21 MB against 84 MB of weights: the larger one may not need more than 8 MiB more. */
static void memory_does_not_grow_with_the_model(void **state)
{
    long small;

    synth_run_expect(&r,
                     "--arch custom --hidden 512 --heads 8 --intermediate 2048 --layers 2 "
                     "--vocab 2048 --threads 2 --out @/small",
                     0, "written");
    small = r.max_rss_kib;
    synth_run_expect(&r,
                     "--arch custom --hidden 512 --heads 8 --intermediate 2048 --layers 8 "
                     "--vocab 8192 --threads 2 --out @/large",
                     0, "41.95 million");
    if (r.max_rss_kib > small + 8192)
        fail_msg("%ld KiB, against %ld for a quarter of the weights", r.max_rss_kib, small);
}

static void the_tokenizer_is_the_demo_models_or_the_given_one(void **state)
{
    char path[256], words[512];
    struct tokenizer *tok = NULL;
    struct err err = {{0}};

    synth_run_expect(&r, SMALL " --out @/m", 0, "the MSpecKV demo model's, ids below 1024");
    path_of(path, "m");
    assert_int_equal(tokenizer_open(&tok, path, &err), ST_OK);
    assert_int_equal(tokenizer_n_vocab(tok), 1024);
    tokenizer_close(tok);
    snprintf(words, sizeof words, SMALL " --out @/file --tokenizer %s/tokenizer.json", path);
    synth_run_expect(&r, words, 0, "m/tokenizer.json, ids below 1024");
    assert_true(synth_run_has(&r, "file/tokenizer.json"));
    synth_run_expect(&r, SMALL " --out @/dir --tokenizer @/m", 0, "ids below 1024");
    assert_true(synth_run_has(&r, "dir/tokenizer.json"));
}

/* Else a copy would begin texts otherwise, lack tokens, or have no chat. */
static void what_stands_beside_the_tokenizer_comes_along(void **state)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json", "chat_template.jinja",
                                        "ranks.tiktoken"};
    char path[256], name[64];

    synth_run_expect(&r, SMALL " --out @/m", 0, "random weights");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FILE *file;
        snprintf(name, sizeof name, "m/%s", names[i]);
        path_of(path, name);
        file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs("{}", file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    synth_run_expect(&r, SMALL " --out @/dir --tokenizer @/m", 0, "random weights");
    synth_run_expect(&r, SMALL " --out @/file --tokenizer @/m/tokenizer.json", 0, "random weights");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(name, sizeof name, "dir/%s", names[i]);
        assert_true(synth_run_has(&r, name));
        snprintf(name, sizeof name, "file/%s", names[i]);
        assert_int_equal(synth_run_has(&r, name), strcmp(names[i], "ranks.tiktoken") != 0);
    }
}

static void what_makes_no_sense_is_refused_and_leaves_nothing(void **state)
{
    static const struct {
        const char *arguments, *words;
        int status;
    } cases[] = {
        {"--out @/x", "--arch is missing", 2},
        {"--arch llama-68m", "--out is missing", 2},
        {"--arch llama-69m --out @/x", "'llama-69m' is not known", 2},
        {"--arch llama-68m --hidden 64 --out @/x", "--hidden goes with --arch custom", 2},
        {"--arch llama-68m --dtype f8 --out @/x", "bf16|f16|f32", 2},
        {"--arch llama-68m --layers 0 --out @/x", "not within", 2},
        {"--arch custom --hidden 64 --out @/x", "custom needs --layers", 2},
        {"--arch custom --hidden 64 --heads 4 --layers 2 --vocab 1024 --out @/x",
         "custom needs --intermediate", 2},
        {SMALL " --heads 5 --out @/x", "stands twice", 2},
        {"--arch custom --hidden 64 --heads 5 --intermediate 9 --layers 1 --vocab 1024 --out @/x",
         "--heads 5 does not divide --hidden 64", 2},
        {"--arch custom --hidden 64 --heads 4 --kv-heads 3 --intermediate 9 --layers 1 --vocab "
         "1024 --out @/x",
         "--kv-heads 3 does not divide --heads 4", 2},
        {"--arch custom --hidden 64 --heads 16 --intermediate 9 --layers 1 --vocab 1024 --out @/x",
         "--head-dim 4 is not a multiple of 8", 2},
        {"--arch custom --hidden 64 --heads 4 --intermediate 9 --layers 1 --vocab 1000 --out @/x",
         "ids up to 1023, the model's vocabulary has 1000", 2},
        {SMALL " --tokenizer @/none --out @/x", "the tokenizer: ", 1},
        {SMALL " --out @/none/x", "create ", 1},
        {"--arch llama-68m --layers 256 --shard-size 0.001 --out @/x", "can be loaded", 2},
        {"--arch custom --hidden 65536 --heads 512 --intermediate 1000000 --layers 256 --vocab "
         "1000000 --shard-size 1000 --out @/x",
         "are needed", 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        synth_run_expect(&r, cases[i].arguments, cases[i].status, cases[i].words);
        assert_false(synth_run_has(&r, "x"));
        assert_false(synth_run_has(&r, "x.partial"));
    }
}

static void what_is_there_already_is_left_alone(void **state)
{
    char path[256];

    synth_run_expect(&r, SMALL " --out @/there", 0, "random weights");
    synth_run_expect(&r, SMALL " --out @/there", 2, "is not empty");
    assert_true(synth_run_has(&r, "there/model.safetensors"));
    synth_run_expect(&r, SMALL " --out @/there/config.json", 2, "Not a directory");
    path_of(path, "empty");
    assert_int_equal(mkdir(path, 0700), 0);
    synth_run_expect(&r, SMALL " --out @/empty", 0, "random weights");
    path_of(path, "busy.partial");
    assert_int_equal(mkdir(path, 0700), 0);
    synth_run_expect(&r, SMALL " --out @/busy", 2, "busy.partial exists");
    assert_true(synth_run_has(&r, "busy.partial"));
}

static void a_write_that_fails_is_one_line_and_leaves_nothing(void **state)
{
    r.file_limit = 100000;
    synth_run_expect(&r, SMALL " --out @/full", 1, "model.safetensors: File too large");
    r.file_limit = 10000; /* the tokenizer already */
    synth_run_expect(&r, SMALL " --out @/full", 1, "tokenizer.json");
    r.file_limit = 0;
    assert_false(synth_run_has(&r, "full"));
    assert_false(synth_run_has(&r, "full.partial"));
}

static void a_stop_in_the_middle_leaves_nothing(void **state)
{
    int status;

    /* 1.6 GB: the signal comes when the file has just been made. */
    synth_run_start(&r, "--arch custom --hidden 4096 --heads 32 --intermediate 11008 --layers 4 "
                        "--vocab 1024 --threads 1 --out @/long");
    while (!synth_run_has(&r, "long.partial/model.safetensors")) {
        assert_int_equal(kill(r.pid, 0), 0);
        usleep(1000);
    }
    assert_int_equal(kill(r.pid, SIGTERM), 0);
    status = synth_run_wait(&r);
    if (status != 1 || strstr(r.output, "stopped") == NULL)
        fail_msg("%d: %s", status, r.output);
    assert_false(synth_run_has(&r, "long"));
    assert_false(synth_run_has(&r, "long.partial"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_dtype_loads_as_a_model, open_run, close_run),
        cmocka_unit_test_setup_teardown(weights_depend_on_the_seed_and_not_on_files_or_threads,
                                        open_run, close_run),
        cmocka_unit_test_setup_teardown(memory_does_not_grow_with_the_model, open_run, close_run),
        cmocka_unit_test_setup_teardown(the_tokenizer_is_the_demo_models_or_the_given_one, open_run,
                                        close_run),
        cmocka_unit_test_setup_teardown(what_stands_beside_the_tokenizer_comes_along, open_run,
                                        close_run),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused_and_leaves_nothing, open_run,
                                        close_run),
        cmocka_unit_test_setup_teardown(what_is_there_already_is_left_alone, open_run, close_run),
        cmocka_unit_test_setup_teardown(a_write_that_fails_is_one_line_and_leaves_nothing, open_run,
                                        close_run),
        cmocka_unit_test_setup_teardown(a_stop_in_the_middle_leaves_nothing, open_run, close_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
