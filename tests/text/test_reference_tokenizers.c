/*
 * Small tokenizers in the forms of published models against what the `tokenizers` library makes of
 * the same files: ids of texts, the text of those ids, the text of any ids.
 */
#include "tests/text/tokenizer_fixture.h"

#include <jansson.h>

#include "common/mem.h"
#include "text/utf8.h"

#define TOKENIZERS TEST_SOURCE_DIR "/tests/fixtures/tokenizers"

static char shown[2][4 * UTF8_SHOW_BYTES];

/* All of a short text, control characters as escapes. */
static const char *show(int which, const char *text, size_t n)
{
    char *out = shown[which];
    size_t at = 0, room = sizeof shown[0] - 8;

    for (size_t i = 0; i < n && at < room; i++) {
        unsigned char c = (unsigned char)text[i];
        at += (size_t)snprintf(out + at, 8, c < 32 || c == 127 ? "\\x%02x" : "%c", c);
    }
    out[at] = '\0';
    return out;
}

static int32_t *read_ids(const json_t *list, uint32_t *n)
{
    int32_t *id = mem_array(json_array_size(list) + 1, sizeof *id);

    *n = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < *n; i++)
        id[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return id;
}

static bool encodes(const struct tokenizer *tok, const json_t *text, const int32_t *want,
                    uint32_t n_want)
{
    const char *bytes = json_string_value(text);
    size_t n = json_string_length(text);
    struct token_list got;
    struct err err = {{0}};
    bool same;

    token_list_init(&got);
    if (tokenizer_encode(tok, bytes, n, &got, &err) != ST_OK)
        fail_msg("'%s': %s", show(0, bytes, n), err.text);
    same = got.n == n_want && (n_want == 0 || memcmp(got.id, want, n_want * sizeof *want) == 0);
    if (!same) {
        print_message("'%s' gives", show(0, bytes, n));
        for (uint32_t i = 0; i < got.n; i++)
            print_message(" %d", got.id[i]);
        print_message(", not");
        for (uint32_t i = 0; i < n_want; i++)
            print_message(" %d", want[i]);
        print_message("\n");
    }
    token_list_release(&got);
    return same;
}

static bool decodes(const struct tokenizer *tok, const int32_t *id, uint32_t n, const json_t *text)
{
    const char *want = json_string_value(text);
    size_t n_want = json_string_length(text);
    struct text_buf got;
    struct err err = {{0}};
    bool same;

    text_buf_init(&got);
    if (tokenizer_decode(tok, id, n, &got, &err) != ST_OK)
        fail_msg("decoding to '%s': %s", show(0, want, n_want), err.text);
    same = got.n == n_want && (n_want == 0 || memcmp(got.data, want, n_want) == 0);
    if (!same) {
        print_message("ids");
        for (uint32_t i = 0; i < n; i++)
            print_message(" %d", id[i]);
        print_message(" print '%s', not '%s'\n", show(0, got.data, got.n), show(1, want, n_want));
    }
    text_buf_release(&got);
    return same;
}

/* Returns the number of vectors that differ. */
static unsigned check_vectors(const struct tokenizer *tok, const json_t *vectors)
{
    const json_t *row;
    unsigned n_wrong = 0;
    size_t i;

    json_array_foreach(json_object_get(vectors, "encode"), i, row)
    {
        uint32_t n;
        int32_t *id = read_ids(json_array_get(row, 1), &n);
        n_wrong += !encodes(tok, json_array_get(row, 0), id, n);
        n_wrong += !decodes(tok, id, n, json_array_get(row, 2));
        free(id);
    }
    json_array_foreach(json_object_get(vectors, "decode"), i, row)
    {
        uint32_t n;
        int32_t *id = read_ids(json_array_get(row, 0), &n);
        n_wrong += !decodes(tok, id, n, json_array_get(row, 1));
        free(id);
    }
    return n_wrong;
}

static void check(const char *name)
{
    struct tokenizer *tok = NULL;
    struct err err = {{0}};
    json_error_t where;
    json_t *vectors;
    char path[512];
    unsigned n_wrong;

    snprintf(path, sizeof path, TOKENIZERS "/%s", name);
    if (tokenizer_open(&tok, path, &err) != ST_OK)
        fail_msg("%s: %s", name, err.text);
    snprintf(path, sizeof path, TOKENIZERS "/%s/vectors.json", name);
    vectors = json_load_file(path, JSON_ALLOW_NUL, &where);
    if (vectors == NULL)
        fail_msg("%s: %s", path, where.text);
    assert_true(json_array_size(json_object_get(vectors, "encode")) > 100);
    assert_true(json_array_size(json_object_get(vectors, "decode")) > 30);
    n_wrong = check_vectors(tok, vectors);
    if (n_wrong > 0)
        fail_msg("%s: %u vectors differ", name, n_wrong);
    json_decref(vectors);
    tokenizer_close(tok);
}

static void byte_level_with_llama3s_split_and_ignored_merges_gives_the_references_ids(void **state)
{
    check("llama3");
}

static void byte_level_with_qwens_split_and_nfc_gives_the_references_ids(void **state)
{
    check("qwen");
}

static void a_mark_before_every_segment_gives_the_references_ids(void **state)
{
    check("llama2_legacy");
}

static void a_mark_before_the_text_alone_gives_the_references_ids(void **state)
{
    check("llama2_first");
}

static void words_with_a_mark_and_fused_unknowns_give_the_references_ids(void **state)
{
    check("metaspace_always");
}

static void words_without_a_first_mark_and_single_unknowns_give_the_references_ids(void **state)
{
    check("metaspace_never");
}

static void added_tokens_with_every_flag_give_the_references_ids(void **state)
{
    check("added_flags");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_with_llama3s_split_and_ignored_merges_gives_the_references_ids),
        cmocka_unit_test(byte_level_with_qwens_split_and_nfc_gives_the_references_ids),
        cmocka_unit_test(a_mark_before_every_segment_gives_the_references_ids),
        cmocka_unit_test(a_mark_before_the_text_alone_gives_the_references_ids),
        cmocka_unit_test(words_with_a_mark_and_fused_unknowns_give_the_references_ids),
        cmocka_unit_test(words_without_a_first_mark_and_single_unknowns_give_the_references_ids),
        cmocka_unit_test(added_tokens_with_every_flag_give_the_references_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
