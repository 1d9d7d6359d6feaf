/* Checkpoint directories: one file, shards with their index, and indexes that lie. */
#include "model/checkpoint.h"
#include "model/json_doc.h"
#include "tests/model/tiny_checkpoint.h"

static void write_index(const struct tiny *m, const struct temp_dir *dir, int split)
{
    char text[16384];
    size_t at = 0;

    at += (size_t)snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int i = 0; i < m->n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%s\":\"model-0000%d.safetensors\"",
                               i > 0 ? "," : "", m->t[i].name, i < split ? 1 : 2);
    snprintf(text + at, sizeof text - at, "}}");
    temp_dir_text(dir, "model.safetensors.index.json", text);
}

/* Two shards and their index. */
static void write_shards(struct tiny *m, const struct temp_dir *dir)
{
    tiny_make(m);
    tiny_write_file(m, 0, 7, dir, "model-00001.safetensors");
    tiny_write_file(m, 7, m->n, dir, "model-00002.safetensors");
    write_index(m, dir, 7);
}

static void refuse(const struct temp_dir *dir, enum status wanted, const char *words)
{
    struct checkpoint ckpt = {0};
    struct err err = {{0}};
    enum status st = checkpoint_open(&ckpt, dir->path, &err);

    if (st != wanted || strstr(err.text, words) == NULL || strchr(err.text, '\n') != NULL)
        fail_msg("status %d: %s; wanted %d: %s", (int)st, err.text, (int)wanted, words);
    assert_null(ckpt.file);
}

static void shards_are_found_by_their_index(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tiny m = {.seed = 1};
    struct checkpoint ckpt = {0};
    struct err err = {{0}};
    size_t file = 9;

    write_shards(&m, &dir);
    if (checkpoint_open(&ckpt, dir.path, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(ckpt.n_files, 2);
    for (int i = 0; i < m.n; i++) {
        assert_string_equal(checkpoint_find(&ckpt, m.t[i].name, &file)->name, m.t[i].name);
        assert_int_equal(file, i < 7 ? 0 : 1);
    }
    assert_null(checkpoint_find(&ckpt, "model.rotary.inv_freq", &file));
    checkpoint_release(&ckpt);
    checkpoint_release(&ckpt);
    tiny_release(&m);
    temp_dir_remove(&dir);
}

static void an_index_that_disagrees_with_its_shards_is_refused(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tiny m = {.seed = 2};

    write_shards(&m, &dir);
    write_index(&m, &dir, 8); /* tensor 7 lies in the second file, the index says the first */
    refuse(&dir, ST_CORRUPT, m.t[7].name);
    write_index(&m, &dir, 7);
    tiny_write_file(&m, 0, 6, &dir, "model-00001.safetensors"); /* tensor 6 is nowhere */
    refuse(&dir, ST_CORRUPT, "is not in model-00001.safetensors");
    m.n--; /* the last tensor is stored and not listed */
    tiny_write_file(&m, 0, 7, &dir, "model-00001.safetensors");
    write_index(&m, &dir, 7);
    m.n++;
    refuse(&dir, ST_CORRUPT, "is not in the index");
    tiny_release(&m);
    temp_dir_remove(&dir);
}

static void a_missing_or_broken_shard_is_named(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tiny m = {.seed = 3};
    char path[512];

    write_shards(&m, &dir);
    temp_dir_text(&dir, "model-00002.safetensors", "short");
    refuse(&dir, ST_CORRUPT, "model-00002.safetensors: 5 bytes");
    snprintf(path, sizeof path, "%s/model-00002.safetensors", dir.path);
    assert_int_equal(unlink(path), 0);
    refuse(&dir, ST_NOT_FOUND, "model-00002.safetensors");
    assert_int_equal(symlink("model-00002.safetensors", path), 0); /* a circle */
    refuse(&dir, ST_IO, "model-00002.safetensors");
    tiny_release(&m);
    temp_dir_remove(&dir);
}

static void names_that_leave_the_directory_are_refused(void **state)
{
    static const char *const names[] = {"\"../model.safetensors\"",
                                        "\"/etc/model.safetensors\"",
                                        "\"a/b.safetensors\"",
                                        "\"..safetensors\"",
                                        "\".safetensors\"",
                                        "\"a..b.safetensors\"",
                                        "\"model.bin\"",
                                        "\"model.safetensors.index.json\"",
                                        "\"a b.safetensors\"",
                                        "\"a\\nb.safetensors\"",
                                        "\"\"",
                                        "7",
                                        "null",
                                        "[\"model.safetensors\"]"};
    struct temp_dir dir = temp_dir_make();
    char text[256];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "{\"weight_map\":{\"t\":%s}}", names[i]);
        temp_dir_text(&dir, "model.safetensors.index.json", text);
        refuse(&dir, ST_CORRUPT, "is no plain name");
    }
    temp_dir_remove(&dir);
}

static void an_index_without_a_map_is_refused(void **state)
{
    static const char *const texts[] = {"{}", "{\"weight_map\":{}}", "{\"weight_map\":[]}",
                                        "{\"weight_map\":null}"};
    struct temp_dir dir = temp_dir_make();

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        temp_dir_text(&dir, "model.safetensors.index.json", texts[i]);
        refuse(&dir, ST_CORRUPT, "weight_map is missing, empty or no object");
    }
    temp_dir_text(&dir, "model.safetensors.index.json", "{\"weight_map\":{\"t\":");
    refuse(&dir, ST_CORRUPT, "model.safetensors.index.json:1:");
    temp_dir_remove(&dir);
}

static void an_index_that_lists_a_tensor_twice_is_refused(void **state)
{
    struct temp_dir dir = temp_dir_make();

    temp_dir_text(&dir, "model.safetensors.index.json",
                  "{\"weight_map\":{\"t\":\"a.safetensors\",\"t\":\"b.safetensors\"}}");
    refuse(&dir, ST_CORRUPT, "duplicate object key");
    temp_dir_text(&dir, "model.safetensors.index.json", "{\"weight_map\":{},\"weight_map\":{}}");
    refuse(&dir, ST_CORRUPT, "duplicate object key");
    temp_dir_remove(&dir);
}

static void an_index_of_too_many_files_or_bytes_is_refused(void **state)
{
    struct temp_dir dir = temp_dir_make();
    char *text = malloc(JSON_DOC_MAX_BYTES + 2);
    size_t at = (size_t)sprintf(text, "{\"weight_map\":{");

    for (int i = 0; i <= CHECKPOINT_MAX_FILES; i++)
        at += (size_t)sprintf(text + at, "%s\"t%d\":\"%d.safetensors\"", i > 0 ? "," : "", i, i);
    sprintf(text + at, "}}");
    temp_dir_text(&dir, "model.safetensors.index.json", text);
    refuse(&dir, ST_UNSUPPORTED, "names more than 1024 files");
    memset(text, ' ', JSON_DOC_MAX_BYTES + 1);
    temp_dir_write(&dir, "model.safetensors.index.json", text, JSON_DOC_MAX_BYTES + 1);
    refuse(&dir, ST_INVALID, "model.safetensors.index.json has more than 4194304 bytes");
    free(text);
    temp_dir_remove(&dir);
}

/* What the metadata says is nobody's truth: the files are. */
static void metadata_of_an_index_is_ignored(void **state)
{
    static const char *const texts[] = {"{\"total_size\":0}", "{\"total_size\":-1}",
                                        "{\"total_size\":\"x\"}", "null", "[7]"};
    struct temp_dir dir = temp_dir_make();
    struct tiny m = {.seed = 4};
    char text[16384];

    tiny_make(&m);
    tiny_write_file(&m, 0, 1, &dir, "a.safetensors");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct checkpoint ckpt = {0};
        struct err err = {{0}};
        snprintf(text, sizeof text, "{\"metadata\":%s,\"weight_map\":{\"%s\":\"a.safetensors\"}}",
                 texts[i], m.t[0].name);
        temp_dir_text(&dir, "model.safetensors.index.json", text);
        if (checkpoint_open(&ckpt, dir.path, &err) != ST_OK)
            fail_msg("%s: %s", texts[i], err.text);
        checkpoint_release(&ckpt);
    }
    tiny_release(&m);
    temp_dir_remove(&dir);
}

/* Caches of checkpoints keep the files elsewhere and link to them; what stands in a
 * shard's place may also be no file at all. */
static void a_linked_shard_is_read_and_no_regular_file_is_refused(void **state)
{
    struct temp_dir dir = temp_dir_make(), blobs = temp_dir_make();
    struct tiny m = {.seed = 5};
    struct checkpoint ckpt = {0};
    struct err err = {{0}};
    char path[512], blob[512];

    write_shards(&m, &dir);
    snprintf(path, sizeof path, "%s/model-00002.safetensors", dir.path);
    snprintf(blob, sizeof blob, "%s/0123abcd", blobs.path);
    assert_int_equal(rename(path, blob), 0);
    assert_int_equal(symlink(blob, path), 0);
    if (checkpoint_open(&ckpt, dir.path, &err) != ST_OK)
        fail_msg("%s", err.text);
    checkpoint_release(&ckpt);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(&dir, ST_CORRUPT, "model-00002.safetensors: not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refuse(&dir, ST_CORRUPT, "model-00002.safetensors: not a regular file");
    tiny_release(&m);
    temp_dir_remove(&blobs);
    temp_dir_remove(&dir);
}

static void foreign_words_never_break_the_line(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct tiny m = {.seed = 6};

    tiny_make(&m);
    tiny_write_file(&m, 0, 1, &dir, "a.safetensors");
    temp_dir_text(&dir, "model.safetensors.index.json",
                  "{\"weight_map\":{\"x\\ny\":\"a.safetensors\"}}");
    refuse(&dir, ST_CORRUPT, "is not in the index");
    temp_dir_text(&dir, "model.safetensors.index.json",
                  "{\"weight_map\":{\"x\\u001b[2Jy\":\"../a\\r.safetensors\"}}");
    refuse(&dir, ST_CORRUPT, "is no plain name");
    tiny_release(&m);
    temp_dir_remove(&dir);
}

static void an_empty_directory_is_named(void **state)
{
    struct temp_dir dir = temp_dir_make();

    refuse(&dir, ST_NOT_FOUND, dir.path);
    temp_dir_remove(&dir);
}

static void pytorch_files_are_sent_to_the_converter(void **state)
{
    struct temp_dir dir = temp_dir_make();

    refuse(&dir, ST_NOT_FOUND, "holds neither model.safetensors nor");
    temp_dir_text(&dir, "pytorch_model.bin.index.json", "{}");
    refuse(&dir, ST_NOT_FOUND, "holds PyTorch files only; `mspeckv convert /tmp/");
    temp_dir_remove(&dir);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_found_by_their_index),
        cmocka_unit_test(an_index_that_disagrees_with_its_shards_is_refused),
        cmocka_unit_test(a_missing_or_broken_shard_is_named),
        cmocka_unit_test(names_that_leave_the_directory_are_refused),
        cmocka_unit_test(an_index_without_a_map_is_refused),
        cmocka_unit_test(an_index_that_lists_a_tensor_twice_is_refused),
        cmocka_unit_test(an_index_of_too_many_files_or_bytes_is_refused),
        cmocka_unit_test(metadata_of_an_index_is_ignored),
        cmocka_unit_test(a_linked_shard_is_read_and_no_regular_file_is_refused),
        cmocka_unit_test(foreign_words_never_break_the_line),
        cmocka_unit_test(an_empty_directory_is_named),
        cmocka_unit_test(pytorch_files_are_sent_to_the_converter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
