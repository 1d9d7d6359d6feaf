/*
 * `generate --temperature 0` from BOS alone gives the ids of the real models'
 * float64 references, with f16 and with f32 KV; with f32 KV the logits agree to
 * 1e-3. How far f16 KV moves them is printed.
 */
#include "tests/npy.h"
#include "tests/system/program.h"
#include "tests/test_helpers.h"

static struct program p;

static void expect_tokens(const char *json, const int32_t *want, size_t n)
{
    const char *at = strstr(json, "\"tokens\": [");

    if (at == NULL)
        fail_msg("no tokens in: %.200s", json);
    at += strlen("\"tokens\": [");
    for (size_t i = 0; i < n; i++) {
        char *end;
        long id = strtol(at, &end, 10);
        if (end == at || id != want[i])
            fail_msg("token %zu is %ld, the reference's %d", i, id, want[i]);
        at = end + 1; /* the comma, or the bracket behind the last one */
    }
    assert_true(at[-1] == ']');
}

/* Largest difference of the logits file's rows from the reference's. */
static double logits_distance(const struct npy *want, size_t n_rows)
{
    size_t n = n_rows * want->n_cols;
    float *got = calloc(n, sizeof *got);
    double most = 0;
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/logits", p.dir);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, sizeof *got, n, f), n);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want->f32[i]);
        most = d > most || isnan(d) ? d : most;
    }
    free(got);
    return most;
}

static void compare(const char *model, const char *golden, const char *format)
{
    char dir[512], name[64], path[512], arguments[1024];
    struct npy ids, logits;
    double distance;

    test_data_path(dir, sizeof dir, model);
    snprintf(name, sizeof name, "golden/%s.ids.npy", golden);
    test_data_path(path, sizeof path, name);
    if (!npy_read(&ids, path, "<i4")) {
        fail_msg("%s cannot be read", path);
        return;
    }
    snprintf(name, sizeof name, "golden/%s.logits.npy", golden);
    test_data_path(path, sizeof path, name);
    if (!npy_read(&logits, path, "<f4")) {
        fail_msg("%s cannot be read", path);
        return;
    }
    snprintf(arguments, sizeof arguments,
             "generate --target %s --temperature 0 --ignore-eos --gen-len %zu --kv-format %s "
             "--logits @/logits --json",
             dir, ids.n_rows - 1, format);
    if (program_run(&p, arguments) != 0)
        fail_msg("%s", program_output(&p));
    expect_tokens(program_output(&p), ids.i32 + 1, ids.n_rows - 1);
    distance = logits_distance(&logits, ids.n_rows - 1);
    printf("%s, %s KV: logits differ by at most %.2g\n", golden, format, distance);
    if (strcmp(format, "f32") == 0)
        assert_true(distance < 1e-3);
    else
        assert_true(distance < 0.5); /* a wrong pass is off by several units */
    npy_release(&ids);
    npy_release(&logits);
}

static void f32_kv_gives_the_references_ids_and_logits(void **state)
{
    compare("hf-stories260K", "stories260K", "f32");
    compare("hf-llama2xs-300K", "llama2xs-300K", "f32");
    compare("hf-story-infinitensor", "story-656K", "f32");
}

static void f16_kv_gives_the_references_ids(void **state)
{
    compare("hf-stories260K", "stories260K", "f16");
    compare("hf-llama2xs-300K", "llama2xs-300K", "f16");
    compare("hf-story-infinitensor", "story-656K", "f16");
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
        cmocka_unit_test(f32_kv_gives_the_references_ids_and_logits),
        cmocka_unit_test(f16_kv_gives_the_references_ids),
    };
    char path[512];

    if (test_data_path(path, sizeof path, "golden/stories260K.ids.npy") == NULL)
        test_skip_program("the real models are not there");
    return cmocka_run_group_tests(tests, open_program, close_program);
}
