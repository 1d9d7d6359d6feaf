/*
 * `generate --temperature 0 --kv-format f32` on tiny checkpoints gives the ids and the logits of
 * transformers: whole prefills, decode steps, pages and windows as the processes run them.
 *
 * The checkpoints have no tokenizer: here each id below 62 gets a letter or digit of its own.
 */
#include "tests/model/reference_files.h"
#include "tests/system/program.h"

static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static struct program p;

static void write_tokenizer(const struct temp_dir *dir, size_t n_vocab)
{
    char text[2048];
    int at = snprintf(text, sizeof text,
                      "{\"added_tokens\": [], \"normalizer\": null, \"post_processor\": null, "
                      "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                      "\"use_regex\": false}, \"decoder\": {\"type\": \"ByteLevel\"}, "
                      "\"model\": {\"type\": \"BPE\", \"merges\": [], \"vocab\": {");

    assert_true(n_vocab < sizeof letters);
    for (size_t i = 0; i < n_vocab; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s\"%c\": %zu", i > 0 ? ", " : "",
                       letters[i], i);
    snprintf(text + at, sizeof text - (size_t)at, "}}}");
    temp_dir_text(dir, "tokenizer.json", text);
}

static void write_prompt(const struct temp_dir *dir, const struct npy *ids, size_t n_prompt)
{
    char text[1024] = {0};

    assert_true(n_prompt < sizeof text);
    for (size_t i = 0; i < n_prompt; i++)
        text[i] = letters[ids->i32[i]];
    temp_dir_text(dir, "prompt.txt", text);
}

static void expect_tokens(const char *name, const int32_t *want)
{
    const char *at = strstr(program_output(&p), "\"tokens\": [");

    if (at == NULL) {
        fail_msg("%s: no tokens in: %.200s", name, program_output(&p));
        return;
    }
    at += strlen("\"tokens\": [");
    for (size_t i = 0; i < REFERENCE_DECODED; i++) {
        char *end;
        long id = strtol(at, &end, 10);
        if (end == at || id != want[i])
            fail_msg("%s: token %zu is %ld, the reference's %d", name, i, id, want[i]);
        at = end + 1; /* the comma, or the bracket behind the last one */
    }
}

static void expect_logits(const char *name, const float *want, size_t n)
{
    float *got = calloc(n, sizeof *got);
    double worst;
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/logits", p.dir);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, sizeof *got, n, f), n);
    fclose(f);
    worst = reference_difference(got, want, n);
    print_message("%s: largest difference %.1e\n", name, worst);
    if (!(worst <= reference_tol))
        fail_msg("%s: logits off by %.3g, at most %.1g", name, worst, reference_tol);
    free(got);
}

/* `draft`: the checkpoint proposes to itself. */
static void compare(const struct reference_case *rc, bool draft)
{
    struct temp_dir dir = reference_checkpoint(rc, "config.json");
    char arguments[1024], with[160] = "--method baseline";
    struct npy ids, logits;
    size_t n_prompt;

    reference_npy(&ids, rc->name, "ids.npy", "<i4");
    reference_npy(&logits, rc->name, "logits.npy", "<f4");
    n_prompt = ids.n_rows - REFERENCE_DECODED;
    write_tokenizer(&dir, logits.n_cols);
    write_prompt(&dir, &ids, n_prompt);
    if (draft)
        snprintf(with, sizeof with, "--method mspeckv --draft %s --gamma 4 --budget 32", dir.path);
    snprintf(arguments, sizeof arguments,
             "generate --target %s %s --prompt-file %s/prompt.txt --temperature 0 --ignore-eos "
             "--gen-len %d --kv-format f32 --on-chip 1 --resident-layers 0 --logits @/logits "
             "--json",
             dir.path, with, dir.path, REFERENCE_DECODED);
    if (program_run(&p, arguments) != 0)
        fail_msg("%s: %s", rc->name, program_output(&p));
    expect_tokens(rc->name, ids.i32 + n_prompt);
    expect_logits(rc->name, logits.f32 + (n_prompt - 1) * logits.n_cols,
                  REFERENCE_DECODED * logits.n_cols);
    npy_release(&ids);
    npy_release(&logits);
    temp_dir_remove(&dir);
}

static void generate_gives_the_references_ids_and_logits(void **state)
{
    static const struct reference_case cases[] = {
        {"llama_300", "llama", 0},
        {"llama_yarn", "llama", 0},
        {"qwen2", NULL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        compare(&cases[i], false);
}

static void generate_with_a_window_gives_the_references_ids_and_logits(void **state)
{
    static const struct reference_case cases[] = {
        {"mistral_window_300", "mistral_window", 0},
        {"qwen2_window", NULL, 0},
        {"qwen3_window", "qwen3", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        compare(&cases[i], false);
}

static void speculation_gives_the_references_ids_and_logits(void **state)
{
    static const struct reference_case cases[] = {
        {"llama_yarn", "llama", 0},
        {"mistral_window_300", "mistral_window", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        compare(&cases[i], true);
}

static int open_program(void **state)
{
    return program_init(&p) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generate_gives_the_references_ids_and_logits),
        cmocka_unit_test(generate_with_a_window_gives_the_references_ids_and_logits),
        cmocka_unit_test(speculation_gives_the_references_ids_and_logits),
    };

    return cmocka_run_group_tests(tests, open_program, close_program);
}
