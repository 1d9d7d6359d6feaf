#include "tests/orchestrator/text_files.h"

#include "orchestrator/dataset.h"

static struct dataset *open_dataset(const char *path, const char *field, uint32_t n)
{
    struct dataset_args *args = mem_zalloc(sizeof *args);
    struct dataset *d = NULL;
    struct err err = {{0}};
    *args = (struct dataset_args){path, field, n};
    if (dataset_open(&d, args, &err) != ST_OK)
        fail_msg("%s", err.text);
    free(args); /* the dataset keeps its own copy of the struct */
    return d;
}

static void expect_next(struct dataset *d, const char *text, const char *name)
{
    struct dataset_document doc;
    struct err err = {{0}};
    bool found = false;
    if (dataset_next(d, &doc, &found, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_true(found);
    assert_int_equal(doc.n_bytes, strlen(text));
    assert_memory_equal(doc.n_bytes > 0 ? doc.text : "", text, doc.n_bytes);
    assert_string_equal(doc.name, name);
}

static void expect_end(struct dataset *d)
{
    struct dataset_document doc;
    struct err err = {{0}};
    bool found = true;
    assert_int_equal(dataset_next(d, &doc, &found, &err), ST_OK);
    assert_false(found);
    dataset_close(d);
}

static void expect_refusal(struct dataset *d, const char *words)
{
    struct dataset_document doc;
    struct err err = {{0}};
    bool found = false;
    assert_int_equal(dataset_next(d, &doc, &found, &err), ST_INVALID);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words);
    dataset_close(d);
}

static void the_kind_is_told_by_the_file_the_ending_and_the_field(void **state)
{
    assert_int_equal(dataset_kind_of("demo", NULL), DATASET_DEMO);
    assert_int_equal(dataset_kind_of("demo", "text"), DATASET_JSONL);
    assert_int_equal(dataset_kind_of(text_files_dir, NULL), DATASET_FOLDER);
    assert_int_equal(dataset_kind_of("a.jsonl", NULL), DATASET_JSONL);
    assert_int_equal(dataset_kind_of(".jsonl", NULL), DATASET_TEXT);
    assert_int_equal(dataset_kind_of("a.txt", NULL), DATASET_TEXT);
    assert_int_equal(dataset_kind_of("a.txt", "x"), DATASET_JSONL);
    assert_string_equal(dataset_kind_name(DATASET_FOLDER), "folder");
}

static void documents_of_a_text_begin_at_lines_in_equal_parts(void **state)
{
    char *path = text_files_write("text.txt", "one\ntwo\nthree\nfour\n");
    struct dataset *d = open_dataset(path, NULL, 2);
    expect_next(d, "one\ntwo\nthree\nfour\n", "byte 0");
    expect_next(d, "four\n", "byte 14");
    expect_end(d);
    free(path);
    /* Without a line break near, a character is not cut. */
    path = text_files_write("wide.txt", "\xC3\xA9\xC3\xA9\xC3\xA9");
    d = open_dataset(path, NULL, 2);
    expect_next(d, "\xC3\xA9\xC3\xA9\xC3\xA9", "byte 0");
    expect_next(d, "\xC3\xA9", "byte 4");
    expect_end(d);
    free(path);
    path = text_files_write("none.txt", "");
    d = open_dataset(path, NULL, 1);
    expect_next(d, "", "byte 0");
    expect_end(d);
    free(path);
}

static void a_folder_gives_its_text_files_by_name(void **state)
{
    char *folder = text_files_path("books");
    assert_int_equal(mkdir(folder, 0700), 0);
    free(text_files_write("books/b.txt", "second"));
    free(text_files_write("books/a.txt", "first"));
    free(text_files_write("books/c\x1b[31m.txt", "third"));
    free(text_files_write("books/d\xE2\x80\xAE\xC2\x9B\xC3\xA9.txt", "fourth"));
    free(text_files_write("books/notes.md", "not one"));
    free(text_files_write("books/.hidden.txt", "not one"));
    struct dataset *d = open_dataset(folder, NULL, 2);
    expect_next(d, "first", "a.txt");
    expect_next(d, "second", "b.txt");
    expect_next(d, "third", "c\\x1B[31m.txt");
    /* a sign that turns the rest around, a control of two bytes, one that is shown */
    expect_next(d, "fourth", "d\\xE2\\x80\\xAE\\xC2\\x9B\xC3\xA9.txt");
    expect_end(d);

    struct dataset_args args = {folder, NULL, 5};
    struct err err = {{0}};
    d = NULL;
    assert_int_equal(dataset_open(&d, &args, &err), ST_INVALID);
    assert_null(d);
    assert_non_null(strstr(err.text, "4 text files (*.txt) for 5 documents; one file for each "
                                     "document, or fewer documents, would be right"));
    free(text_files_write("books/b.txt", "bad \xFF"));
    d = open_dataset(folder, NULL, 2);
    expect_next(d, "first", "a.txt");
    expect_refusal(d, "books/b.txt is not UTF-8: byte 4 is 0xFF");
    /* A folder that is named as a text file is no text file. */
    char *inner = text_files_path("books/aa.txt");
    assert_int_equal(mkdir(inner, 0700), 0);
    d = open_dataset(folder, NULL, 2);
    expect_next(d, "first", "a.txt");
    expect_refusal(d, "books/aa.txt is no regular file");
    free(inner);
    free(folder);
}

static void json_lines_are_read_no_further_than_asked(void **state)
{
    char *path = text_files_write("b.jsonl", "\xEF\xBB\xBF{\"text\":\"one\"}\n\n  \r\n"
                                             "{\"text\":\"two\"}\r\n"
                                             "{\"text\":broken\n");
    struct dataset *d = open_dataset(path, NULL, 2);
    expect_next(d, "one", "line 1");
    expect_next(d, "two", "line 4");
    expect_refusal(d, "b.jsonl:5: no JSON at column ");
    free(path);
    path = text_files_write("c.json", "{\"a\":{\"b\":\"inner\"}}");
    d = open_dataset(path, "a.b", 1);
    expect_next(d, "inner", "line 1");
    expect_end(d);
    d = open_dataset(path, NULL, 1); /* a text file, by its ending */
    expect_next(d, "{\"a\":{\"b\":\"inner\"}}", "byte 0");
    expect_end(d);
    d = open_dataset(path, "text", 1);
    expect_refusal(d, "c.json:1: no field \"text\"; ");
    free(path);
}

/* The file ends beyond what a run could hold; only its first line is there. */
static void a_file_of_many_gigabytes_is_not_read_whole(void **state)
{
    char *path = text_files_write("large.jsonl", "{\"text\":\"small\"}\n");
    if (truncate(path, (off_t)64 << 30) != 0) { /* holes take no room on disk */
        free(path);
        skip();
    }
    struct dataset *d = open_dataset(path, NULL, 1);
    expect_next(d, "small", "line 1");
    dataset_close(d);
    free(path);
}

static void what_is_not_there_is_refused(void **state)
{
    static const char *const names[] = {"absent.txt", "absent.jsonl"};
    for (size_t i = 0; i < 2; i++) {
        char *path = text_files_path(names[i]);
        struct dataset_args args = {path, NULL, 1};
        struct dataset *d = NULL;
        struct err err = {{0}};
        assert_int_equal(dataset_open(&d, &args, &err), ST_NOT_FOUND);
        assert_non_null(strstr(err.text, path));
        free(path);
    }
    struct dataset_args args = {text_files_dir, "text", 1};
    struct dataset *d = NULL;
    struct err err = {{0}};
    assert_int_equal(dataset_open(&d, &args, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "is no regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_is_told_by_the_file_the_ending_and_the_field),
        cmocka_unit_test(documents_of_a_text_begin_at_lines_in_equal_parts),
        cmocka_unit_test(a_folder_gives_its_text_files_by_name),
        cmocka_unit_test(json_lines_are_read_no_further_than_asked),
        cmocka_unit_test(a_file_of_many_gigabytes_is_not_read_whole),
        cmocka_unit_test(what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, text_files_make, text_files_drop);
}
