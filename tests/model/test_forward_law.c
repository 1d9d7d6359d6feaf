/* The laws that a pass gives beside, or instead of, its logits. */
#include "tests/model/flat_cache.h"
#include "tests/model/tiny_checkpoint.h"

enum { N_TOKENS = 45, LAWS = 3 };

static const struct density_params laws[LAWS] = {{0.6, 0.9}, {1, 1}, {0, 1}};

struct fixture {
    struct temp_dir dir;
    struct device *dev;
    struct model *model;
    struct flat_cache cache;
    int32_t token[N_TOKENS];
    uint32_t pos[N_TOKENS];
};

static void set_up(struct fixture *f)
{
    struct device_options opt = {.n_threads = 2};
    struct tiny m = {.seed = 77};
    struct err err = {{0}};

    memset(f, 0, sizeof *f);
    f->dir = temp_dir_make();
    tiny_make(&m);
    tiny_write(&m, &f->dir);
    tiny_release(&m);
    assert_int_equal(device_open(&f->dev, "cpu:0", &opt, &err), ST_OK);
    if (model_open(&f->model, f->dev, f->dir.path, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(flat_cache_init(&f->cache, f->model, N_TOKENS, &err), ST_OK);
    for (int i = 0; i < N_TOKENS; i++) {
        f->token[i] = (i * 7 + i * i) % TINY_VOCAB;
        f->pos[i] = (uint32_t)i;
    }
}

static void tear_down(struct fixture *f)
{
    flat_cache_release(&f->cache);
    model_close(f->model);
    device_close(f->dev);
    temp_dir_remove(&f->dir);
}

static void pass(struct fixture *f, int from, const struct density_params *law, float *p,
                 float *logits)
{
    struct model_forward_args args = {.token = f->token,
                                      .pos = f->pos,
                                      .n_rows = N_TOKENS,
                                      .cache = {.self = &f->cache, .attend = flat_cache_attend},
                                      .logits = logits,
                                      .logits_from = from,
                                      .p = p,
                                      .law = *law};
    struct err err = {{0}};

    assert_int_equal(model_forward(f->model, &args, &err), ST_OK);
}

/* More rows than are computed at a time, exactly as many, and one. */
static void the_law_of_a_row_is_that_of_its_logits(void **state)
{
    static const int from[] = {0, 12, 13, N_TOKENS - 1, N_TOKENS};
    static float p[N_TOKENS + 1][TINY_VOCAB], q[N_TOKENS + 1][TINY_VOCAB];
    static float all[N_TOKENS][TINY_VOCAB];
    uint32_t order[TINY_VOCAB];
    float want[TINY_VOCAB];
    struct fixture f;

    set_up(&f);
    for (int k = 0; k < LAWS * 5; k++) {
        int n = N_TOKENS - from[k % 5];
        memset(p, 0x5a, sizeof p);
        pass(&f, from[k % 5], &laws[k % LAWS], *p, NULL);
        pass(&f, from[k % 5], &laws[k % LAWS], *q, *all);
        for (int r = 0; r < n; r++) {
            assert_int_equal(
                density_from_logits(want, all[r], TINY_VOCAB, &laws[k % LAWS], order, NULL), ST_OK);
            assert_memory_equal(p[r], want, sizeof want);
            assert_memory_equal(q[r], want, sizeof want);
        }
        assert_int_equal(((uint8_t *)p[n])[0], 0x5a);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_law_of_a_row_is_that_of_its_logits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
