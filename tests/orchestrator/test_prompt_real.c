/* Prompts with the tokenizers of real models, over a novel and over text that
 * they spell in bytes: exact, whole, and nothing added where texts are joined. */
#include "tests/orchestrator/text_files.h"

#include "orchestrator/prompt_source.h"

static const char *const tokenizers[] = {"tokenizers/llama2/tokenizer.model",
                                         "tokenizers/llama3/tokenizer.model",
                                         "tokenizers/qwen2/qwen.tiktoken"};

struct world {
    struct tokenizer *tok;
    struct prompt_parts parts;
    char novel[512];
};

static void open_world(struct world *w, const char *name)
{
    char path[512];
    struct err err = {{0}};
    *w = (struct world){.tok = NULL};
    assert_non_null(test_data_path(path, sizeof path, name));
    assert_non_null(test_data_path(w->novel, sizeof w->novel, "text/pg1399.txt"));
    if (tokenizer_open(&w->tok, path, &err) != ST_OK)
        fail_msg("%s: %s", name, err.text);
    prompt_template_init(&w->parts.use);
    assert_int_equal(prompt_template_choose(&w->parts.use, "summarize", &err), ST_OK);
}

static void close_world(struct world *w)
{
    prompt_template_release(&w->parts.use);
    tokenizer_close(w->tok);
}

static struct prompt_source *open_source(const struct world *w, const char *dataset,
                                         uint32_t n_tokens)
{
    struct prompt_source *s = NULL;
    struct err err = {{0}};
    const struct prompt_source_args args = {.tok = w->tok,
                                            .parts = &w->parts,
                                            .dataset = dataset,
                                            .n_documents = 1,
                                            .n_tokens = n_tokens,
                                            .n_tokens_min = 200};
    if (prompt_source_open(&s, &args, &err) != ST_OK)
        fail_msg("%s", err.text);
    return s;
}

/* Spelled, the prompt is instruction, beginning of the text, line breaks for a
 * cut character (few), instruction; returns the line breaks. */
static uint32_t check(struct world *w, struct prompt_source *s, const char *text, uint32_t n)
{
    const int32_t *id = prompt_source_tokens(s, 0, n);
    bool has_bos = tokenizer_bos(w->tok) >= 0 && id[0] == tokenizer_bos(w->tok);
    size_t n_before = w->parts.use.before.n, n_after = w->parts.use.after.n, n_same = 0, n_inner;
    struct text_buf out;
    struct err err = {{0}};
    text_buf_init(&out);
    assert_int_equal(tokenizer_bos(w->tok) >= 0, has_bos);
    assert_int_equal(tokenizer_decode(w->tok, id, n, &out, &err), ST_OK);
    assert_true(out.n > n_before + n_after);
    n_inner = out.n - n_before - n_after;
    assert_memory_equal(out.data, w->parts.use.before.data, n_before);
    assert_memory_equal(out.data + out.n - n_after, w->parts.use.after.data, n_after);
    while (n_same < n_inner && out.data[n_before + n_same] == text[n_same])
        n_same++;
    assert_true(n_inner - n_same <= 4);
    for (size_t i = n_same; i < n_inner; i++)
        assert_int_equal(out.data[n_before + i], '\n');
    text_buf_release(&out);
    return (uint32_t)(n_inner - n_same);
}

static void a_novel_is_cut_to_the_token_with_every_tokenizer(void **state)
{
    for (size_t i = 0; i < sizeof tokenizers / sizeof tokenizers[0]; i++) {
        struct world w;
        static char text[65536];
        open_world(&w, tokenizers[i]);
        FILE *f = fopen(w.novel, "rb");
        assert_non_null(f);
        assert_int_equal(fread(text, 1, sizeof text, f), sizeof text);
        fclose(f);
        struct prompt_source *s = open_source(&w, w.novel, 8192);
        for (uint32_t n = 200; n <= 8192; n += 999)
            check(&w, s, text, n);
        prompt_source_close(s);
        close_world(&w);
    }
}

static void text_spelled_in_bytes_is_never_cut_inside_a_character(void **state)
{
    /* Signs of scripts and pictures that no vocabulary of these has whole. */
    static const char sign[] = "\xF0\x93\x80\x80\xF0\x9F\xA6\xA9\xEA\x99\xAE\xF0\x90\x8C\xB0 ";
    char *text = mem_zalloc(sizeof sign * 300 + 1);
    uint32_t n_filled = 0;
    for (uint32_t i = 0; i < 300; i++)
        strcat(text, sign);
    char *path = text_files_write("signs.txt", text);
    for (size_t i = 0; i < sizeof tokenizers / sizeof tokenizers[0]; i++) {
        struct world w;
        open_world(&w, tokenizers[i]);
        struct prompt_source *s = open_source(&w, path, 400);
        for (uint32_t n = 200; n <= 400; n++)
            n_filled += check(&w, s, text, n) > 0;
        prompt_source_close(s);
        close_world(&w);
    }
    assert_true(n_filled > 200);
    free(path);
    free(text);
}

int main(void)
{
    char path[512];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_novel_is_cut_to_the_token_with_every_tokenizer),
        cmocka_unit_test(text_spelled_in_bytes_is_never_cut_inside_a_character),
    };
    if (test_data_path(path, sizeof path, tokenizers[0]) == NULL)
        test_skip_program("the real tokenizers are absent");
    return cmocka_run_group_tests(tests, text_files_make, text_files_drop);
}
