#include "common/mem.h"
#include "tests/model/temp_dir.h"
#include "tests/text/tokenizer_fixture.h"
#include "tools/eval/eval_windows.h"

static struct temp_dir dir;
static char text_path[128];
static struct tokenizer *tok; /* one token a byte, no BOS */

static void write_text(size_t n)
{
    char *text = mem_alloc(n);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('A' + i % 23);
    temp_dir_write(&dir, "text", text, n);
    free(text);
}

static int open_all(void **state)
{
    struct text_buf json;
    struct err err = {{0}};
    enum status st;

    dir = temp_dir_make();
    snprintf(text_path, sizeof text_path, "%s/text", dir.path);
    text_buf_init(&json);
    fix_json(&json, "null", "null");
    st = tokenizer_open_memory(&tok, json.data, json.n, &err);
    text_buf_release(&json);
    return st == ST_OK ? 0 : -1;
}

static int close_all(void **state)
{
    tokenizer_close(tok);
    temp_dir_remove(&dir);
    return 0;
}

static struct eval_windows_args plain(uint32_t n_windows, uint32_t n_prefill, uint32_t n_scored)
{
    return (struct eval_windows_args){.text = text_path,
                                      .tok = tok,
                                      .n_windows = n_windows,
                                      .n_prefill = n_prefill,
                                      .n_scored = n_scored,
                                      .n_vocab = 260,
                                      .max_positions = 512};
}

static void expect_refused(const struct eval_windows_args *a, const char *words)
{
    struct eval_windows w;
    struct err err = {{0}};

    assert_int_equal(eval_windows_open(&w, a, &err), ST_INVALID);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, err.text);
}

static int32_t id_at(size_t i)
{
    return 'A' + (int32_t)(i % 23);
}

static void windows_lie_from_the_first_token_to_the_last(void **state)
{
    struct eval_windows_args a = plain(3, 10, 5);
    struct eval_windows w;
    struct err err = {{0}};

    write_text(100);
    assert_int_equal(eval_windows_open(&w, &a, &err), ST_OK);
    assert_int_equal(w.n_text, 100);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(eval_windows_tokens(&w, 0)[i], id_at((size_t)i));
        assert_int_equal(eval_windows_tokens(&w, 1)[i], id_at((size_t)i + 42));
        assert_int_equal(eval_windows_tokens(&w, 2)[i], id_at((size_t)i + 84));
    }
    eval_windows_release(&w);
    eval_windows_release(&w);
}

static void a_text_that_just_suffices_is_used_up(void **state)
{
    struct eval_windows_args a = plain(2, 10, 5);
    struct eval_windows w;
    struct err err = {{0}};

    write_text(32);
    assert_int_equal(eval_windows_open(&w, &a, &err), ST_OK);
    assert_int_equal(eval_windows_tokens(&w, 1)[0], id_at(16));
    eval_windows_release(&w);
    write_text(31);
    expect_refused(&a, "has 31 tokens, 15 for each of 2 windows; --prefill 10 and --tokens 5 "
                       "need 16");
}

static void without_a_number_all_that_the_text_gives_is_scored(void **state)
{
    struct eval_windows_args a = plain(2, 10, 0);
    struct eval_windows w;
    struct err err = {{0}};

    write_text(100);
    assert_int_equal(eval_windows_open(&w, &a, &err), ST_OK);
    assert_int_equal(w.n_scored, 39);
    assert_int_equal(eval_windows_tokens(&w, 1)[49], id_at(99));
    eval_windows_release(&w);
    write_text(23);
    expect_refused(&a, "has 23 tokens, 11 for each of 2 windows");
}

static void more_than_the_models_positions_is_refused_with_numbers(void **state)
{
    struct eval_windows_args a = plain(1, 500, 13);

    write_text(1000);
    expect_refused(&a, "--prefill 500 and --tokens 13 are 513 positions, and the model has 512");
    a.n_scored = 0;
    expect_refused(&a, "has 1000 tokens, 1000 for each of 1 windows, and the model has 512");
    a.n_scored = 1;
    a.n_prefill = UINT32_MAX;
    expect_refused(&a, "and the model has 512");
}

static void the_vocabulary_of_another_model_is_refused(void **state)
{
    struct eval_windows_args a = plain(1, 10, 5);

    write_text(100);
    a.n_vocab = 'D';
    expect_refused(&a, "token 68 of");
    a.text = "demo";
    expect_refused(&a, "is outside the target's vocabulary of 68");
}

static void demo_windows_are_beginnings_of_texts_of_their_own(void **state)
{
    struct eval_windows_args a = plain(2, 200, 100);
    struct eval_windows both, second;
    struct err err = {{0}};
    size_t bytes = 301 * sizeof(int32_t);

    a.text = "demo";
    a.demo_seed = 7;
    assert_int_equal(eval_windows_open(&both, &a, &err), ST_OK);
    assert_memory_not_equal(eval_windows_tokens(&both, 0), eval_windows_tokens(&both, 1), bytes);
    a.n_windows = 1;
    a.demo_seed = 8;
    assert_int_equal(eval_windows_open(&second, &a, &err), ST_OK);
    assert_memory_equal(eval_windows_tokens(&second, 0), eval_windows_tokens(&both, 1), bytes);
    eval_windows_release(&second);
    eval_windows_release(&both);
    a.n_scored = 0;
    expect_refused(&a, "--tokens is missing");
}

static void a_bos_stands_before_every_window(void **state)
{
    struct eval_windows_args a = plain(2, 20, 10);
    struct tokenizer *with_bos = NULL;
    struct eval_windows w;
    struct err err = {{0}};

    write_text(400);
    assert_int_equal(tokenizer_open(&with_bos, TEST_SOURCE_DIR "/experiments/demo/target", &err),
                     ST_OK);
    a.tok = with_bos;
    a.n_vocab = 1024;
    assert_int_equal(eval_windows_open(&w, &a, &err), ST_OK);
    assert_int_equal(eval_windows_tokens(&w, 0)[0], tokenizer_bos(with_bos));
    assert_int_equal(eval_windows_tokens(&w, 1)[0], tokenizer_bos(with_bos));
    assert_int_not_equal(eval_windows_tokens(&w, 1)[1], tokenizer_bos(with_bos));
    eval_windows_release(&w);
    tokenizer_close(with_bos);
}

static void a_text_that_is_not_there_is_named(void **state)
{
    struct eval_windows_args a = plain(1, 20, 10);
    struct eval_windows w;
    struct err err = {{0}};

    a.text = "/nowhere/at/all.txt";
    assert_int_equal(eval_windows_open(&w, &a, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at/all.txt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_lie_from_the_first_token_to_the_last),
        cmocka_unit_test(a_text_that_just_suffices_is_used_up),
        cmocka_unit_test(without_a_number_all_that_the_text_gives_is_scored),
        cmocka_unit_test(more_than_the_models_positions_is_refused_with_numbers),
        cmocka_unit_test(the_vocabulary_of_another_model_is_refused),
        cmocka_unit_test(demo_windows_are_beginnings_of_texts_of_their_own),
        cmocka_unit_test(a_bos_stands_before_every_window),
        cmocka_unit_test(a_text_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
