/*
 * `mspeckv eval` as a user runs it, and the proof that its logits are those of
 * decoding: a baseline over the same quantized KV writes the same bits.
 */
#include <jansson.h>

#include "common/mem.h"
#include "tests/system/program.h"
#include "tests/test_helpers.h"
#include "text/tokenizer.h"
#include "tools/eval/eval_cache.h"
#include "tools/eval/eval_windows.h"

#define TARGET TEST_SOURCE_DIR "/experiments/demo/target"

static struct program p;

static int open_program(void **state)
{
    return program_init(&p) && program_write(&p, "short.txt", "A short text.\n") ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

/* Refused by one line of words. */
static void expect_line(const char *arguments, int status, const char *words)
{
    const char *out;
    int got = program_run(&p, arguments);

    out = program_output(&p);
    if (got != status || strstr(out, words) == NULL || strchr(out, '\n') != out + strlen(out) - 1)
        fail_msg("mspeckv %s: exit %d and one line with \"%s\" were wanted, not %d and:\n%s",
                 arguments, status, words, got, out);
}

#define GIVEN "eval --target " TARGET " --text demo --kv-format "

static void what_is_missing_or_wrong_is_named_in_one_line(void **state)
{
    expect_line("eval", 2, "--target is missing");
    expect_line("eval --target " TARGET, 2, "--text is missing");
    expect_line("eval --target " TARGET " --text demo", 2, "--kv-format is missing");
    expect_line(GIVEN "int9", 2, "'int9' is not a KV format: f32, f16, int8 or int4");
    expect_line(GIVEN "int8,", 2, "'' is not a KV format");
    expect_line(GIVEN "int8,f16,int8", 2, "int8 stands twice");
    expect_line(GIVEN "int8 --prefill 0", 2, "--prefill");
    expect_line(GIVEN "int8 --k-rotation rope", 2, "none|hadamard|signed-hadamard");
    expect_line(GIVEN "int8 --widows 2", 2, "did you mean --windows?");
    expect_line(GIVEN "int8", 1, "--tokens is missing: the demo text has no end");
    expect_line(GIVEN "int8 --tokens 10 --device tpu:0", 1, "tpu:0");
    expect_line(GIVEN "int8 --prefill 65530 --tokens 7", 1,
                "are 65537 positions, and the model has 65536");
    expect_line(GIVEN "int8 --prefill 100 --tokens 100", 1,
                "no row before position 256 reads a quantized page");
    expect_line("eval --target " TARGET " --text @/short.txt --kv-format int8", 1, "short.txt has");
    expect_line("eval --target " TARGET " --text @/none.txt --kv-format int8", 1, "none.txt");
    expect_line("eval --target @/none --text demo --kv-format int8 --tokens 9", 1, "config.json");
}

static double number(const json_t *line, const char *key, const char *part)
{
    const json_t *value = json_object_get(line, key);

    return json_number_value(part != NULL ? json_object_get(value, part) : value);
}

static void a_run_prints_a_table_and_writes_json(void **state)
{
    char path[128], *line, *rest;
    json_t *all, *formats;

    assert_int_equal(program_run(&p, GIVEN "f16,int8,int4 --prefill 300 --tokens 64 --windows 2 "
                                           "--threads 1 --json @/eval.json"),
                     0);
    assert_non_null(strstr(program_output(&p), "2 x (300 exact, then 64 scored)"));
    rest = mem_strdup(program_output(&p));
    for (line = strtok(rest, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        size_t columns = 0;
        for (size_t i = 0; line[i] != '\0'; i++)
            columns += ((unsigned char)line[i] & 0xC0) != 0x80;
        if (columns > 80 && strstr(line, TARGET) == NULL)
            fail_msg("%zu columns: %s", columns, line);
    }
    free(rest);
    snprintf(path, sizeof path, "%s/eval.json", p.dir);
    all = json_load_file(path, 0, NULL);
    formats = json_object_get(all, "formats");
    assert_int_equal(json_array_size(formats), 3);
    assert_int_equal(number(all, "scored_tokens", NULL), 128);
    assert_close(number(json_array_get(formats, 0), "kl", "mean"), 0, 0);
    assert_close(number(json_array_get(formats, 0), "same_top", "mean"), 1, 0);
    assert_close(number(json_array_get(formats, 0), "perplexity", NULL),
                 exp(number(all, "reference_nll", "mean")), 1e-6);
    /* Trained weights: int8 is nearly f16, and int4 is not. */
    assert_close(number(json_array_get(formats, 1), "perplexity_excess", "mean"), 0, 0.002);
    assert_true(number(json_array_get(formats, 1), "kl", "mean") > 0);
    assert_true(number(json_array_get(formats, 2), "kl", "mean") >
                10 * number(json_array_get(formats, 1), "kl", "mean"));
    json_decref(all);
    assert_int_equal(program_run(&p, GIVEN "int8 --prefill 300 --tokens 9"), 0);
    assert_non_null(strstr(program_output(&p), "one batch tells no error"));
    assert_null(strstr(program_output(&p), "nan"));
}

static void random_weights_are_called_so(void **state)
{
    assert_int_equal(program_run(&p, "synth --arch custom --hidden 64 --heads 2 --kv-heads 1 "
                                     "--head-dim 32 --intermediate 64 --layers 2 --vocab 1024 "
                                     "--out @/synth"),
                     0);
    assert_int_equal(program_run(&p, "eval --target @/synth --text demo --kv-format int4 "
                                     "--prefill 250 --tokens 20"),
                     0);
    assert_non_null(strstr(program_output(&p), "(random weights)"));
}

/* Within them page 2 is sealed, and page 1 is read sealed from position 384 on. */
enum { N_PREFILL = 370, N_DECODED = 40 };

struct decoded {
    int32_t token[N_DECODED];
    float *logits; /* [N_DECODED, n_vocab]; row i is what token[i] was chosen from */
};

static void decode_baseline(struct decoded *d, const char *format, size_t n_vocab)
{
    char arguments[1024], path[128];
    json_t *all, *ids;
    FILE *f;

    snprintf(arguments, sizeof arguments,
             "generate --target " TARGET " --method baseline --on-chip 0 --kv-format %s "
             "--prompt-file @/prompt.txt --prefill %d --gen-len %d --temperature 0 --ignore-eos "
             "--threads 1 --json --logits @/logits",
             format, N_PREFILL, N_DECODED);
    assert_int_equal(program_run(&p, arguments), 0);
    all = json_loads(program_output(&p), 0, NULL);
    ids = json_object_get(all, "tokens");
    assert_int_equal(json_array_size(ids), N_DECODED);
    for (size_t i = 0; i < N_DECODED; i++)
        d->token[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    json_decref(all);
    d->logits = mem_array(N_DECODED * n_vocab, sizeof *d->logits);
    snprintf(path, sizeof path, "%s/logits", p.dir);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(d->logits, sizeof(float), N_DECODED * n_vocab, f), N_DECODED * n_vocab);
    fclose(f);
}

/* The same tokens through the cache that eval scores with. */
static void compare_with_decoding(struct device *dev, struct model *model, const int32_t *prompt,
                                  enum kv_format format)
{
    size_t n_vocab = model_config(model)->n_vocab;
    struct eval_cache_options opt = {dev, model, KV_F16, EVAL_TURN_NONE, N_PREFILL + N_DECODED};
    float *logits = mem_array(EVAL_PASS_ROWS * n_vocab, sizeof *logits);
    struct eval_cache *exact = NULL, *arm = NULL;
    struct err err = {{0}};
    struct decoded d;

    decode_baseline(&d, kv_format_ops(format)->name, n_vocab);
    assert_int_equal(eval_cache_open(&exact, &opt, &err), ST_OK);
    assert_int_equal(eval_cache_pass(exact, prompt, N_PREFILL, NULL, &err), ST_OK);
    assert_int_equal(eval_cache_fork(&arm, exact, true, format, &err), ST_OK);
    for (int at = 0; at + 1 < N_DECODED; at += EVAL_PASS_ROWS) {
        int left = N_DECODED - 1 - at, n = left < EVAL_PASS_ROWS ? left : EVAL_PASS_ROWS;
        assert_int_equal(eval_cache_pass(arm, d.token + at, n, logits, &err), ST_OK);
        assert_memory_equal(logits, d.logits + (size_t)(at + 1) * n_vocab,
                            (size_t)n * n_vocab * sizeof(float));
    }
    eval_cache_close(arm);
    eval_cache_close(exact);
    free(d.logits);
    free(logits);
}

static void its_logits_are_those_of_decoding_bit_by_bit(void **state)
{
    struct device_options options = {.n_threads = 1};
    struct eval_windows_args cut = {.text = "demo",
                                    .demo_seed = 5,
                                    .n_windows = 1,
                                    .n_prefill = N_PREFILL,
                                    .n_scored = N_DECODED};
    struct eval_windows windows;
    struct tokenizer *tok = NULL;
    struct device *dev = NULL;
    struct model *model = NULL;
    struct text_buf text;
    struct err err = {{0}};

    assert_int_equal(device_open(&dev, "cpu:0", &options, &err), ST_OK);
    assert_int_equal(model_open(&model, dev, TARGET, &err), ST_OK);
    assert_int_equal(tokenizer_open(&tok, TARGET, &err), ST_OK);
    cut.tok = tok;
    cut.n_vocab = model_config(model)->n_vocab;
    cut.max_positions = model_config(model)->max_positions;
    assert_int_equal(eval_windows_open(&windows, &cut, &err), ST_OK);
    text_buf_init(&text);
    assert_int_equal(tokenizer_decode(tok, eval_windows_tokens(&windows, 0) + 1,
                                      N_PREFILL + N_DECODED, &text, &err),
                     ST_OK);
    text_buf_add(&text, "", 1);
    assert_true(program_write(&p, "prompt.txt", text.data));
    compare_with_decoding(dev, model, eval_windows_tokens(&windows, 0), KV_INT8);
    compare_with_decoding(dev, model, eval_windows_tokens(&windows, 0), KV_INT4);
    text_buf_release(&text);
    eval_windows_release(&windows);
    tokenizer_close(tok);
    model_close(model);
    device_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_or_wrong_is_named_in_one_line),
        cmocka_unit_test(a_run_prints_a_table_and_writes_json),
        cmocka_unit_test(random_weights_are_called_so),
        cmocka_unit_test(its_logits_are_those_of_decoding_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, open_program, close_program);
}
