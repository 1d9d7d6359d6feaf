/* Prompts of an exact length, checked against the tokens of the whole text. */
#include "tests/orchestrator/text_files.h"

#include "orchestrator/prompt_source.h"

/* A prompt of the demo text and the hash of its ids: what studies were measured
 * on must never change. */
struct golden {
    uint32_t n_tokens, document;
    uint64_t hash;
};

static const struct golden goldens[] = {
    {200, 0, 0xf524abc864c4f03e},  {200, 1, 0xdbb43b29bd6d0cd7},  {200, 2, 0x7564c9c7556770fd},
    {2048, 0, 0x90011c449e082059}, {2048, 1, 0xf50699b19a91298a}, {2048, 2, 0x84003a4bd715d7b6},
    {4096, 0, 0x15b4bbce8243d138}, {4096, 1, 0xaeb386a4d88e243e}, {4096, 2, 0x4132acc8ae9d4e15},
};

static struct tokenizer *tok; /* of the demo target: byte-level, with BOS */

static int set_up(void **state)
{
    struct err err = {{0}};
    if (tokenizer_open(&tok, TEST_SOURCE_DIR "/experiments/demo/target", &err) != ST_OK)
        fail_msg("%s", err.text);
    return text_files_make(state);
}

static int tear_down(void **state)
{
    tokenizer_close(tok);
    return text_files_drop(state);
}

static struct prompt_source *open_source(const struct prompt_source_args *args)
{
    struct prompt_source *s = NULL;
    struct err err = {{0}};
    if (prompt_source_open(&s, args, &err) != ST_OK)
        fail_msg("%s", err.text);
    return s;
}

static void refuse(const struct prompt_source_args *args, const char *words)
{
    struct prompt_source *s = NULL;
    struct err err = {{0}};
    assert_int_equal(prompt_source_open(&s, args, &err), ST_INVALID);
    assert_null(s);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words);
}

/* n sentences, no two alike; owned by the caller. */
static char *story(uint32_t n, const char *extra)
{
    char *text = mem_zalloc((size_t)n * 64 + 1), *at = text;
    for (uint32_t i = 0; i < n; i++)
        at += sprintf(at, "Visitor %u came at noon%s and left.\n", i, extra);
    return text;
}

static void prompts_of_the_demo_text_are_those_of_the_studies(void **state)
{
    struct prompt_source *s = open_source(&(struct prompt_source_args){.tok = tok,
                                                                       .dataset = "demo",
                                                                       .n_documents = 3,
                                                                       .document_seed = 1,
                                                                       .n_tokens = 4096,
                                                                       .n_tokens_min = 200});
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++)
        assert_int_equal(prompt_source_hash(s, goldens[i].document, goldens[i].n_tokens),
                         goldens[i].hash);
    assert_string_equal(prompt_source_name(s, 2), "seed 3");
    assert_int_equal(prompt_source_skipped(s), 0);
    prompt_source_close(s);
}

static void a_prompt_is_the_beginning_of_the_texts_own_tokens(void **state)
{
    char *text = story(3000, "");
    char *path = text_files_write("story.txt", text);
    struct token_list whole;
    struct err err = {{0}};
    struct prompt_source *s = open_source(&(struct prompt_source_args){
        .tok = tok, .dataset = path, .n_documents = 1, .n_tokens = 5000, .n_tokens_min = 2});
    static const uint32_t lengths[] = {5000, 2, 3, 4999, 777};
    token_list_init(&whole);
    assert_int_equal(tokenizer_encode(tok, text, strlen(text), &whole, &err), ST_OK);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const int32_t *id = prompt_source_tokens(s, 0, lengths[i]);
        assert_int_equal(id[0], tokenizer_bos(tok));
        assert_memory_equal(id + 1, whole.id, (lengths[i] - 1) * sizeof *id);
    }
    token_list_release(&whole);
    prompt_source_close(s);
    free(path);
    free(text);
}

/* The text of ids as the model sees it; owned by the caller. */
static char *spell(const int32_t *id, uint32_t n)
{
    struct text_buf out;
    struct err err = {{0}};
    text_buf_init(&out);
    assert_int_equal(tokenizer_decode(tok, id, n, &out, &err), ST_OK);
    char *text = text_copy(out.n > 0 ? out.data : "", out.n);
    text_buf_release(&out);
    return text;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static void the_instruction_survives_at_every_length(void **state)
{
    char *text = story(400, "");
    char *path = text_files_write("s.txt", text);
    struct prompt_parts parts = {.chat = NULL};
    struct err err = {{0}};
    prompt_template_init(&parts.use);
    assert_int_equal(
        prompt_template_parse(&parts.use, "t", "Read: {document}\nNow retell it.", 32, &err),
        ST_OK);
    struct prompt_source *s = open_source(&(struct prompt_source_args){.tok = tok,
                                                                       .parts = &parts,
                                                                       .dataset = path,
                                                                       .n_documents = 1,
                                                                       .n_tokens = 900,
                                                                       .n_tokens_min = 60});
    uint32_t n_document = 0;
    for (uint32_t n = 60; n <= 900; n += 7) {
        const int32_t *id = prompt_source_tokens(s, 0, n);
        char *spelled = spell(id, n);
        uint32_t n_bos = 0;
        for (uint32_t i = 0; i < n; i++)
            n_bos += id[i] == tokenizer_bos(tok);
        assert_int_equal(n_bos, 1);
        assert_memory_equal(spelled, "Read: Visitor 0", 15);
        assert_true(ends_with(spelled, "\nNow retell it."));
        /* What is between is the document's own beginning, and longer each time. */
        uint32_t n_inner = (uint32_t)strlen(spelled) - 6 - 15;
        assert_memory_equal(spelled + 6, text, n_inner);
        assert_true(n_inner > n_document);
        n_document = n_inner;
        free(spelled);
    }
    prompt_source_close(s);
    prompt_template_release(&parts.use);
    free(path);
    free(text);
}

/* Every length that cuts a text of wide characters: always well-formed, always
 * exact, and what stands in place of a cut character is line breaks. */
static void no_cut_leaves_half_a_character(void **state)
{
    char *text = story(60, " \xF0\x9F\x98\x80\xE4\xB8\xAD\xE6\x96\x87\xC3\xA9");
    char *path = text_files_write("wide.txt", text);
    uint32_t n_filled = 0;
    struct prompt_source *s = open_source(&(struct prompt_source_args){
        .tok = tok, .dataset = path, .n_documents = 1, .n_tokens = 500, .n_tokens_min = 2});
    for (uint32_t n = 2; n <= 500; n++) {
        char *spelled = spell(prompt_source_tokens(s, 0, n), n);
        size_t n_same = 0;
        while (spelled[n_same] != '\0' && spelled[n_same] == text[n_same])
            n_same++;
        assert_null(strstr(spelled, "\xEF\xBF\xBD"));
        for (size_t i = n_same; spelled[i] != '\0'; i++)
            assert_int_equal(spelled[i], '\n');
        n_filled += spelled[n_same] != '\0';
        free(spelled);
    }
    assert_true(n_filled > 50); /* the demo's tokens spell such characters in bytes */
    prompt_source_close(s);
    free(path);
    free(text);
}

static bool has_special(const int32_t *id, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (tokenizer_is_special(tok, id[i]))
            return true;
    return false;
}

static void a_special_token_that_a_document_spells_is_text(void **state)
{
    static const char text[] = "Here <s> stands for the beginning, it said. More words follow.";
    char *path = text_files_write("special.txt", text);
    struct token_list list;
    struct err err = {{0}};
    struct prompt_source *s = open_source(&(struct prompt_source_args){
        .tok = tok, .dataset = path, .n_documents = 1, .n_tokens = 12});
    token_list_init(&list);
    assert_int_equal(tokenizer_encode(tok, text, strlen(text), &list, &err), ST_OK);
    assert_true(has_special(list.id, list.n)); /* so there is something to keep out */
    assert_false(has_special(prompt_source_tokens(s, 0, 12) + 1, 11));
    token_list_release(&list);
    prompt_source_close(s);
    free(path);
}

static void a_short_document_is_refused_with_numbers_or_passed_over(void **state)
{
    char *folder = text_files_path("mixed");
    char *text = story(60, "");
    assert_int_equal(mkdir(folder, 0700), 0);
    free(text_files_write("mixed/a.txt", text));
    free(text_files_write("mixed/b.txt", "Too short a text."));
    free(text_files_write("mixed/c.txt", text));
    free(text_files_write("mixed/d.txt", ""));
    struct prompt_source_args args = {
        .tok = tok, .dataset = folder, .n_documents = 2, .n_tokens = 300};
    refuse(&args, "mixed/b.txt: document 2 of 2 has ");
    refuse(&args, " tokens, 1 of them around it, fewer than the prefill of 300; a longer document, "
                  "a shorter prefill or skip_short: true would do");
    args.skip_short = true;
    struct prompt_source *s = open_source(&args);
    assert_int_equal(prompt_source_skipped(s), 1);
    assert_string_equal(prompt_source_name(s, 0), "a.txt");
    assert_string_equal(prompt_source_name(s, 1), "c.txt");
    assert_int_equal(prompt_source_hash(s, 0, 300), prompt_source_hash(s, 1, 300));
    prompt_source_close(s);
    args.n_documents = 3;
    refuse(&args, "mixed: 2 documents for the 3 asked for, and 2 more that are shorter than the "
                  "prefill of 300; fewer documents or a shorter prefill would do");
    args.n_documents = 5;
    refuse(&args, "4 text files (*.txt) for 5 documents");
    free(text);
    free(folder);
}

static void json_lines_run_out_with_the_numbers(void **state)
{
    char *text = story(30, ""), *line, *path;
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '\n' ? ' ' : *c;
    line = mem_printf("{\"text\": \"%s\"}\n{\"text\": \"%s\"}\n", text, text);
    path = text_files_write("two.jsonl", line);
    struct prompt_source_args args = {
        .tok = tok, .dataset = path, .n_documents = 2, .n_tokens = 100};
    struct prompt_source *s = open_source(&args);
    assert_string_equal(prompt_source_name(s, 1), "line 2");
    prompt_source_close(s);
    args.n_documents = 3;
    refuse(&args, "two.jsonl: 2 documents for the 3 asked for; fewer documents would be right");
    args.field = "body";
    refuse(&args, "two.jsonl:1: no field \"body\"");
    free(path);
    free(line);
    free(text);
}

static void a_prefill_without_room_beside_the_instruction_is_refused(void **state)
{
    struct prompt_parts parts = {.chat = NULL};
    struct err err = {{0}};
    prompt_template_init(&parts.use);
    assert_int_equal(prompt_template_choose(&parts.use, "summarize", &err), ST_OK);
    struct prompt_source_args args = {.tok = tok,
                                      .parts = &parts,
                                      .dataset = "demo",
                                      .n_documents = 1,
                                      .n_tokens = 400,
                                      .n_tokens_min = 10};
    refuse(&args, "a prefill of 10 leaves no room for a document: ");
    args.n_tokens_min = 400;
    prompt_source_close(open_source(&args));
    prompt_template_release(&parts.use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_of_the_demo_text_are_those_of_the_studies),
        cmocka_unit_test(a_prompt_is_the_beginning_of_the_texts_own_tokens),
        cmocka_unit_test(the_instruction_survives_at_every_length),
        cmocka_unit_test(no_cut_leaves_half_a_character),
        cmocka_unit_test(a_special_token_that_a_document_spells_is_text),
        cmocka_unit_test(a_short_document_is_refused_with_numbers_or_passed_over),
        cmocka_unit_test(json_lines_run_out_with_the_numbers),
        cmocka_unit_test(a_prefill_without_room_beside_the_instruction_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
