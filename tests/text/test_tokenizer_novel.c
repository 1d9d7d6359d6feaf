/*
 * A whole novel through every real tokenizer and back, at once and streamed.
 */
#include "tests/text/real_data.h"

#include "text/token_stream.h"
#include "text/utf8.h"

/* Opened, encoded, given back. The text ends in a NUL of the reader. */
struct trip {
    struct tokenizer *tok;
    struct token_list list;
    struct text_buf back;
};

static void trip_make(struct trip *trip, const char *tokenizer, const struct text_buf *novel)
{
    struct err err = {{0}};

    trip->tok = real_open(tokenizer);
    token_list_init(&trip->list);
    text_buf_init(&trip->back);
    if (tokenizer_encode(trip->tok, novel->data, novel->n - 1, &trip->list, &err) != ST_OK ||
        tokenizer_decode(trip->tok, trip->list.id, trip->list.n, &trip->back, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static void trip_release(struct trip *trip)
{
    tokenizer_close(trip->tok);
    token_list_release(&trip->list);
    text_buf_release(&trip->back);
}

static bool is_border(const struct text_buf *text, size_t at)
{
    return at == text->n || ((unsigned char)text->data[at] & 0xC0) != 0x80;
}

/* However the ids are cut in two, what is printed by then is a beginning of the
 * whole text that ends between two characters. */
static void check_stream(const struct trip *trip)
{
    struct token_stream stream;
    struct text_buf out;
    size_t checked = 0;

    text_buf_init(&out);
    token_stream_init(&stream, trip->tok);
    for (uint32_t i = 0; i < trip->list.n; i++) {
        enum status st = token_stream_push(&stream, trip->list.id[i], &out, NULL);

        /* Not asserted one by one: there are three million of them. */
        if (st != ST_OK || out.n > trip->back.n || !is_border(&trip->back, out.n) ||
            (out.n > checked &&
             memcmp(out.data + checked, trip->back.data + checked, out.n - checked) != 0))
            fail_msg("token %u: %zu bytes are no beginning of the text", i, out.n);
        checked = out.n;
    }
    token_stream_flush(&stream, &out);
    assert_int_equal(out.n, trip->back.n);
    token_stream_release(&stream);
    text_buf_release(&out);
}

static void expect_same(const struct text_buf *got, const char *want, size_t n_want)
{
    assert_int_equal(got->n, n_want);
    assert_memory_equal(got->data, want, n_want);
}

static void a_novel_survives_the_way_there_and_back(void **state)
{
    static const struct {
        const char *tokenizer;
        uint32_t n_want;                        /* 0: not known */
    } cases[] = {{"tokenizers/llama2", 545455}, /* counted by sentencepiece */
                 {"tokenizers/llama3", 0},
                 {"tokenizers/qwen2", 0}};
    struct text_buf novel;

    real_text(&novel, "text/pg1399.txt");
    for (int i = 0; i < 3; i++) {
        struct trip trip;

        trip_make(&trip, cases[i].tokenizer, &novel);
        expect_same(&trip.back, novel.data, novel.n - 1);
        if (cases[i].n_want > 0)
            assert_int_equal(trip.list.n, cases[i].n_want);
        check_stream(&trip);
        trip_release(&trip);
    }
    text_buf_release(&novel);
}

/* Spaces are squeezed by remove_extra_whitespaces, and nothing else is lost. */
static void a_novel_comes_back_with_its_spaces_squeezed(void **state)
{
    struct text_buf novel, want;
    struct trip trip;

    real_text(&novel, "text/pg1399.txt");
    text_buf_init(&want);
    for (size_t i = 0; i + 1 < novel.n; i++)
        if (novel.data[i] != ' ' || (want.n > 0 && want.data[want.n - 1] != ' '))
            text_buf_add(&want, novel.data + i, 1);
    while (want.n > 0 && want.data[want.n - 1] == ' ')
        want.n--;
    trip_make(&trip, "hf-stories260K", &novel);
    expect_same(&trip.back, want.data, want.n);
    check_stream(&trip);
    trip_release(&trip);
    text_buf_release(&want);
    text_buf_release(&novel);
}

/* Whether a character is encoded without the unknown token, 0. Asked once of each. */
static bool has_piece(const struct tokenizer *tok, const char *c, size_t len)
{
    static char answer[0x10000]; /* 0: not asked */
    uint32_t code = utf8_code(c, len);
    struct token_list ids;

    assert_true(code < 0x10000);
    if (answer[code] == 0) {
        answer[code] = 'y';
        token_list_init(&ids);
        assert_int_equal(tokenizer_encode(tok, c, len, &ids, NULL), ST_OK);
        for (uint32_t k = 0; k < ids.n; k++)
            if (ids.id[k] == 0)
                answer[code] = 'n';
        token_list_release(&ids);
    }
    return answer[code] == 'y';
}

/* The characters without a piece are missing, all others are there. */
static void a_novel_comes_back_without_unknown_characters(void **state)
{
    struct tokenizer *tok = real_open("hf-story-infinitensor");
    struct text_buf novel, want;
    struct trip trip;

    real_text(&novel, "text/pg1399.txt");
    text_buf_init(&want);
    for (size_t i = 0, len; i + 1 < novel.n; i += len) {
        len = utf8_len(novel.data + i, novel.n - i);
        if (has_piece(tok, novel.data + i, len))
            text_buf_add(&want, novel.data + i, len);
    }
    assert_true(want.n > novel.n * 9 / 10);
    trip_make(&trip, "hf-story-infinitensor", &novel);
    expect_same(&trip.back, want.data, want.n);
    check_stream(&trip);
    trip_release(&trip);
    text_buf_release(&want);
    text_buf_release(&novel);
    tokenizer_close(tok);
}

/* From any place on, the stream of a beginning equals that beginning decoded. */
static void every_beginning_streams_as_it_decodes(void **state)
{
    static const char *const names[] = {"tokenizers/llama2", "tokenizers/llama3",
                                        "tokenizers/qwen2", "hf-stories260K",
                                        "hf-story-infinitensor"};
    static const char text[] = "Za\xC5\xBC\xC3\xB3\xC5\x82\xC4\x87  \xF0\x9F\x99\x82\xE6\xBC\xA2"
                               "\xE5\xAD\x97 \xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9 end";

    for (int i = 0; i < 5; i++) {
        struct text_buf whole = {(char *)(uintptr_t)text, sizeof text, sizeof text};
        struct trip trip;

        trip_make(&trip, names[i], &whole);
        for (uint32_t n = 0; n <= trip.list.n; n++) {
            struct token_stream stream;
            struct text_buf steps, once;
            size_t bad;

            text_buf_init(&steps);
            text_buf_init(&once);
            token_stream_init(&stream, trip.tok);
            for (uint32_t k = 0; k < n; k++)
                assert_int_equal(token_stream_push(&stream, trip.list.id[k], &steps, NULL), ST_OK);
            assert_true(utf8_check(steps.data, steps.n, &bad));
            token_stream_flush(&stream, &steps);
            assert_int_equal(tokenizer_decode(trip.tok, trip.list.id, n, &once, NULL), ST_OK);
            expect_same(&steps, once.n > 0 ? once.data : "", once.n);
            token_stream_release(&stream);
            text_buf_release(&steps);
            text_buf_release(&once);
        }
        trip_release(&trip);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_novel_survives_the_way_there_and_back),
        cmocka_unit_test(a_novel_comes_back_with_its_spaces_squeezed),
        cmocka_unit_test(a_novel_comes_back_without_unknown_characters),
        cmocka_unit_test(every_beginning_streams_as_it_decodes),
    };

    real_skip_without();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
