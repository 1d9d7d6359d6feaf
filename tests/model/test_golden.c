/* Real models against logits and greedy ids of an independent float64 reference. */
#include "common/mem.h"
#include "tests/model/flat_cache.h"
#include "tests/model/temp_dir.h"
#include "tests/npy.h"
#include "tests/test_helpers.h"

/* Weights and activations are f32 here, f64 there; the project's own limit for f32 KV. */
static const double tol = 1e-3;

struct golden {
    struct npy ids, logits;
};

static void read_golden(struct golden *g, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/golden/%s.ids.npy", TEST_DATA_DIR, name);
    assert_true(npy_read(&g->ids, path, "<i4"));
    snprintf(path, sizeof path, "%s/golden/%s.logits.npy", TEST_DATA_DIR, name);
    assert_true(npy_read(&g->logits, path, "<f4"));
    assert_int_equal(g->ids.n_rows, g->logits.n_rows);
    assert_true(g->ids.n_rows >= 64);
}

static int32_t argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return (int32_t)best;
}

/* Greedy decoding from the first id, one row at a time. */
static void check_greedy(struct model *model, const struct golden *g, struct err *err)
{
    uint32_t n_vocab = model_config(model)->n_vocab;
    float *logits = mem_array(n_vocab, sizeof *logits);
    struct flat_cache cache;
    int32_t token = g->ids.i32[0];

    assert_int_equal(flat_cache_init(&cache, model, 512, err), ST_OK);
    for (size_t i = 0; i < g->ids.n_rows; i++) {
        assert_int_equal(token, g->ids.i32[i]);
        assert_int_equal(flat_cache_run(&cache, model, &token, (uint32_t)i, 1, 1, logits, err),
                         ST_OK);
        token = argmax(logits, n_vocab);
    }
    flat_cache_release(&cache);
    free(logits);
}

/* All ids given; logits of one call over all rows, and the same bits in calls of 1 and 7. */
static void check_forced(struct model *model, const struct golden *g, struct err *err)
{
    static const int rows[] = {1 << 20, 1, 7};
    int n = (int)g->ids.n_rows;
    size_t n_logits = g->logits.n_rows * g->logits.n_cols;
    float *all = mem_array(n_logits, sizeof *all);
    float *logits = mem_array(n_logits, sizeof *logits);
    double worst = 0;
    struct flat_cache cache;

    assert_int_equal(g->logits.n_cols, model_config(model)->n_vocab);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(flat_cache_init(&cache, model, 512, err), ST_OK);
        assert_int_equal(flat_cache_run(&cache, model, g->ids.i32, 0, n, rows[i], logits, err),
                         ST_OK);
        if (i == 0)
            memcpy(all, logits, n_logits * sizeof *all);
        assert_memory_equal(all, logits, n_logits * sizeof *all);
        flat_cache_release(&cache);
    }
    for (size_t i = 0; i < n_logits; i++) {
        worst = fmax(worst, fabs((double)all[i] - g->logits.f32[i]));
        assert_close(all[i], g->logits.f32[i], tol);
    }
    print_message("largest logit difference %.2e\n", worst);
    free(all);
    free(logits);
}

static void check_model(const char *dir, const char *golden)
{
    struct device_options opt = {.n_threads = 2};
    struct device *dev = NULL;
    struct model *model = NULL;
    struct err err = {{0}};
    struct golden g;

    read_golden(&g, golden);
    assert_int_equal(device_open(&dev, "cpu:0", &opt, &err), ST_OK);
    if (model_open(&model, dev, dir, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(model_weight_bytes(model), device_used(dev, DEVICE_WEIGHTS));
    check_forced(model, &g, &err);
    check_greedy(model, &g, &err);
    model_close(model);
    device_close(dev);
    npy_release(&g.ids);
    npy_release(&g.logits);
}

static void check_stored(const char *name, const char *golden)
{
    char dir[512];

    snprintf(dir, sizeof dir, "%s/%s", TEST_DATA_DIR, name);
    check_model(dir, golden);
}

static void stories260K_gives_the_golden_logits_and_ids(void **state)
{
    check_stored("hf-stories260K", "stories260K");
}

static void llama2xs_gives_the_golden_logits_and_ids(void **state)
{
    check_stored("hf-llama2xs-300K", "llama2xs-300K");
}

static void a_model_that_stores_only_its_head_gives_the_golden_logits_and_ids(void **state)
{
    check_stored("hf-story-infinitensor", "story-656K");
}

/* stories260K with another rotation than it was trained with. */
static void check_scaled(const char *scaling, const char *golden)
{
    static const char from[] = "\"rope_scaling\": null";
    struct temp_dir dir = temp_dir_make();
    char path[512], link_path[512], text[4096] = {0}, edited[4096];
    char *at;
    FILE *f;

    snprintf(path, sizeof path, "%s/hf-stories260K/config.json", TEST_DATA_DIR);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    at = strstr(text, from);
    assert_non_null(at);
    *at = '\0';
    snprintf(edited, sizeof edited, "%s\"rope_scaling\": {%s}%s", text, scaling, at + strlen(from));
    temp_dir_text(&dir, "config.json", edited);
    snprintf(path, sizeof path, "%s/hf-stories260K/model.safetensors", TEST_DATA_DIR);
    snprintf(link_path, sizeof link_path, "%s/model.safetensors", dir.path);
    assert_int_equal(symlink(path, link_path), 0);
    check_model(dir.path, golden);
    temp_dir_remove(&dir);
}

static void linear_rope_scaling_gives_the_golden_logits_and_ids(void **state)
{
    check_scaled("\"type\": \"linear\", \"factor\": 4.0", "stories260K-linear4");
}

static void yarn_rope_scaling_gives_the_golden_logits_and_ids(void **state)
{
    check_scaled("\"type\": \"yarn\", \"factor\": 8.0, \"original_max_position_embeddings\": 512",
                 "stories260K-yarn8");
}

static void llama3_rope_scaling_gives_the_golden_logits_and_ids(void **state)
{
    check_scaled("\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
                 "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 512",
                 "stories260K-llama3");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories260K_gives_the_golden_logits_and_ids),
        cmocka_unit_test(llama2xs_gives_the_golden_logits_and_ids),
        cmocka_unit_test(a_model_that_stores_only_its_head_gives_the_golden_logits_and_ids),
        cmocka_unit_test(linear_rope_scaling_gives_the_golden_logits_and_ids),
        cmocka_unit_test(yarn_rope_scaling_gives_the_golden_logits_and_ids),
        cmocka_unit_test(llama3_rope_scaling_gives_the_golden_logits_and_ids),
    };
    char path[512];

    if (test_data_path(path, sizeof path, "golden/stories260K.ids.npy") == NULL)
        test_skip_program("no real models in " TEST_DATA_DIR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
