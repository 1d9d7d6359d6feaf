/* Checkpoints stored in BF16 and F16: our F32 arithmetic over the rounded weights against the
 * reference's, and against what the reference computes in the stored dtype itself. */
#include "tests/model/reference_case.h"

/* The dtype's own error is what the reference's two results differ by. Ours are the F32 ones up to
 * reference_tol, so nothing beyond that may come on top. */
static void check_stored(const char *name, double epsilon)
{
    const struct reference_case rc = {name, NULL, 0};
    struct npy ids, exact, stored;
    float *logits;
    size_t n;
    double own, ours;

    reference_check(&rc);
    reference_npy(&ids, name, "ids.npy", "<i4");
    reference_npy(&exact, name, "logits.npy", "<f4");
    reference_npy(&stored, name, "logits_stored.npy", "<f4");
    assert_int_equal(exact.n_rows, stored.n_rows);
    assert_int_equal(exact.n_cols, stored.n_cols);
    n = exact.n_rows * exact.n_cols;
    logits = mem_array(n, sizeof *logits);
    reference_logits(&rc, "config.json", &ids, logits);
    own = reference_difference(exact.f32, stored.f32, n);
    ours = reference_difference(logits, stored.f32, n);
    print_message("%s: the dtype's own error %.4f, ours against it %.4f\n", name, own, ours);
    /* Logits above 4 alone are rounded by up to 2 epsilon: less would not be that dtype's. */
    assert_true(own > 2 * epsilon);
    assert_true(ours <= own + reference_tol);
    free(logits);
    npy_release(&ids);
    npy_release(&exact);
    npy_release(&stored);
}

static void bf16_checkpoints_are_as_near_as_the_dtype_allows(void **state)
{
    static const char *const name[] = {"llama_bf16", "mistral_bf16", "qwen2_bf16", "qwen3_bf16"};

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        check_stored(name[i], 0x1p-8);
}

static void f16_checkpoints_are_as_near_as_the_dtype_allows(void **state)
{
    check_stored("llama_f16", 0x1p-11);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_checkpoints_are_as_near_as_the_dtype_allows),
        cmocka_unit_test(f16_checkpoints_are_as_near_as_the_dtype_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
