/* Hostile safetensors files from memory, in exactly sized heap copies. */
#include "model/json_doc.h"
#include "model/safetensors.h"
#include "tests/model/temp_dir.h"
#include "tests/test_helpers.h"

struct bytes {
    uint8_t *at;
    size_t n;
};

/* u64 header size, header, n_data bytes of data. */
static struct bytes file_of(const char *header, size_t n_data)
{
    uint64_t length = strlen(header);
    struct bytes b = {.n = sizeof length + length + n_data};

    b.at = calloc(b.n, 1);
    assert_non_null(b.at);
    memcpy(b.at, &length, sizeof length);
    memcpy(b.at + sizeof length, header, length);
    return b;
}

static enum status parse(const struct bytes *b, struct err *err)
{
    struct safetensors file = {0};
    enum status st = safetensors_parse(&file, b->at, b->n, "x.safetensors", err);

    if (st == ST_OK)
        safetensors_release(&file);
    else
        assert_null(file.entry);
    return st;
}

static void expect(const char *header, size_t n_data, enum status wanted, const char *words)
{
    struct bytes b = file_of(header, n_data);
    struct err err = {{0}};
    enum status st = parse(&b, &err);

    free(b.at);
    if (st != wanted || strstr(err.text, words) == NULL || strchr(err.text, '\n') != NULL)
        fail_msg("%s\n gave status %d: %s\n wanted %d: %s", header, (int)st, err.text, (int)wanted,
                 words);
    if (wanted != ST_OK)
        assert_ptr_equal(strstr(err.text, "x.safetensors"), err.text);
}

#define GOOD                                                                                       \
    "{\"__metadata__\":{\"format\":\"pt\"},"                                                       \
    "\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[24,30]},"                            \
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"                           \
    "\"e\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[30,30]},"                          \
    "\"s\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[30,32]}}"
enum { GOOD_DATA = 32 };

static void a_good_file_is_read_field_by_field(void **state)
{
    struct bytes b = file_of(GOOD "   ", GOOD_DATA);
    struct safetensors file = {0};
    const struct safetensors_entry *e;
    struct err err = {{0}};

    assert_int_equal(safetensors_parse(&file, b.at, b.n, "x", &err), ST_OK);
    assert_int_equal(file.n_entries, 4);
    assert_int_equal(file.data_at, 8 + strlen(GOOD "   "));
    assert_null(safetensors_find(&file, "c"));
    assert_null(safetensors_find(&file, "__metadata__"));
    e = safetensors_find(&file, "a");
    assert_int_equal(e->dtype, SAFETENSORS_F32);
    assert_int_equal(e->n_dims, 2);
    assert_int_equal(e->dim[0], 2);
    assert_int_equal(e->dim[1], 3);
    e = safetensors_find(&file, "b");
    assert_int_equal(e->dtype, SAFETENSORS_F16);
    assert_int_equal(e->begin, 24);
    assert_int_equal(e->end, 30);
    assert_int_equal(safetensors_find(&file, "s")->n_dims, 0);
    assert_int_equal(safetensors_find(&file, "e")->end, 30);
    safetensors_release(&file);
    free(b.at);
}

static void every_truncation_is_refused(void **state)
{
    struct bytes whole = file_of(GOOD, GOOD_DATA);

    for (size_t n = 0; n < whole.n; n++) {
        struct bytes part = {.at = malloc(n > 0 ? n : 1), .n = n};
        struct err err = {{0}};
        memcpy(part.at, whole.at, n);
        assert_int_equal(parse(&part, &err), ST_CORRUPT);
        assert_true(strlen(err.text) > 0);
        free(part.at);
    }
    free(whole.at);
}

static void a_trailing_byte_is_refused(void **state)
{
    expect(GOOD, GOOD_DATA + 1, ST_CORRUPT, "tensors end at 32, but the file holds 33 bytes");
}

static void every_changed_header_byte_ends_in_a_status(void **state)
{
    static const uint8_t values[] = {0, ' ', '"', '9', '-', '{', ']', ',', 0x80, 0xff};
    struct bytes b = file_of(GOOD, GOOD_DATA);

    for (size_t i = 0; i < b.n - GOOD_DATA; i++) {
        for (size_t j = 0; j < sizeof values; j++) {
            uint8_t old = b.at[i];
            struct err err = {{0}};
            b.at[i] = values[j];
            enum status st = parse(&b, &err);
            assert_true(st == ST_OK || st == ST_CORRUPT || st == ST_UNSUPPORTED);
            assert_null(strchr(err.text, '\n'));
            b.at[i] = old;
        }
    }
    free(b.at);
}

static void lying_header_sizes_are_refused(void **state)
{
    static const uint64_t sizes[] = {
        0,          1,         100000,         JSON_DOC_MAX_BYTES, JSON_DOC_MAX_BYTES + 1,
        1ull << 32, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    struct bytes b = file_of(GOOD, GOOD_DATA);

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct err err = {{0}};
        memcpy(b.at, &sizes[i], sizeof sizes[i]);
        assert_int_equal(parse(&b, &err), ST_CORRUPT);
        assert_non_null(strstr(err.text, i == 1 ? "x.safetensors:1:" : "header"));
    }
    free(b.at);
}

#define T(fields) "{\"t\":{" fields "}}"
#define F32_4     "\"dtype\":\"F32\",\"shape\":[4]"
#define TWO(a, b)                                                                                  \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]," a "},\"b\":{\"dtype\":\"U8\",\"shape\":[4]," b "}}"
#define OFFSETS(b, e) "\"data_offsets\":[" b "," e "]"

static const struct {
    const char *header;
    enum status st;
    const char *words;
} broken[] = {
    {"[]", ST_CORRUPT, "must begin with '{'"},
    {" {}", ST_CORRUPT, "must begin with '{'"},
    {"{} x", ST_CORRUPT, "x.safetensors:1:"},
    {"{\"t\":1}", ST_CORRUPT, "tensor t: is no object"},
    {"{\"t\":null}", ST_CORRUPT, "tensor t: is no object"},
    {"{\"\":{}}", ST_CORRUPT, "tensor name \"\""},
    {"{\"a\\nb\":{}}", ST_CORRUPT, "tensor name \"a?b\""},
    {"{\"\\u00e9\":{}}", ST_CORRUPT, "tensor name"},
    {"{\"a\\u0000b\":{}}", ST_CORRUPT, "x.safetensors:1:"},
    {"{\"__metadata__\":1}", ST_CORRUPT, "__metadata__ is no object"},
    {"{\"__metadata__\":{\"k\":1}}", ST_CORRUPT, "__metadata__: k is no string"},
    {"{\"t\":{},\"t\":{}}", ST_CORRUPT, "duplicate object key"},
    {T(F32_4), ST_CORRUPT, "tensor t: must have dtype, shape, data_offsets"},
    {T(F32_4 "," OFFSETS("0", "16") ",\"x\":1"), ST_CORRUPT, "and nothing else"},
    {T("\"dtype\":4,\"shape\":[4]," OFFSETS("0", "16")), ST_CORRUPT, "dtype must be a string"},
    {T("\"dtype\":\"F4\",\"shape\":[4]," OFFSETS("0", "16")), ST_UNSUPPORTED,
     "tensor t: dtype F4 is not supported"},
    {T("\"dtype\":\"f32\",\"shape\":[4]," OFFSETS("0", "16")), ST_UNSUPPORTED, "dtype f32"},
    {T("\"dtype\":\"F32\",\"shape\":4," OFFSETS("0", "16")), ST_CORRUPT, "shape must be"},
    {T("\"dtype\":\"F32\",\"shape\":[-4]," OFFSETS("0", "16")), ST_CORRUPT, "shape[0]"},
    {T("\"dtype\":\"F32\",\"shape\":[1,4.0]," OFFSETS("0", "16")), ST_CORRUPT, "shape[1]"},
    {T("\"dtype\":\"F32\",\"shape\":[null]," OFFSETS("0", "16")), ST_CORRUPT, "shape[0]"},
    {T("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,4]," OFFSETS("0", "16")), ST_CORRUPT,
     "at most 8 sizes"},
    {T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296]," OFFSETS("0", "16")), ST_CORRUPT,
     "more than 2^64 bytes"},
    /* 2^62 * 4 wraps to 0, and so would agree with an empty range */
    {T("\"dtype\":\"F32\",\"shape\":[4611686018427387904]," OFFSETS("0", "0")), ST_CORRUPT,
     "more than 2^64 bytes"},
    {T("\"dtype\":\"F32\",\"shape\":[99999999999999999999]," OFFSETS("0", "16")), ST_CORRUPT,
     "too big integer"},
    {T(F32_4 ",\"data_offsets\":[0]"), ST_CORRUPT, "data_offsets must be two"},
    {T(F32_4 ",\"data_offsets\":[0,16,16]"), ST_CORRUPT, "data_offsets must be two"},
    {T(F32_4 ",\"data_offsets\":{}"), ST_CORRUPT, "data_offsets must be two"},
    {T(F32_4 "," OFFSETS("-16", "0")), ST_CORRUPT, "data_offsets must be two"},
    {T(F32_4 "," OFFSETS("0", "1.6e1")), ST_CORRUPT, "data_offsets must be two"},
    {T(F32_4 "," OFFSETS("16", "0")), ST_CORRUPT, "disagree with shape"},
    {T(F32_4 "," OFFSETS("0", "15")), ST_CORRUPT, "disagree with shape"},
    {T(F32_4 "," OFFSETS("0", "17")), ST_CORRUPT, "need 16 bytes"},
    {T(F32_4 "," OFFSETS("1", "17")), ST_CORRUPT, "data begins at 1"},
    {TWO(OFFSETS("0", "4"), OFFSETS("4", "8")), ST_CORRUPT, "tensors end at 8"},
    {TWO(OFFSETS("0", "4"), OFFSETS("0", "4")), ST_CORRUPT, "the tensor before ends at 4"},
    {TWO(OFFSETS("0", "4"), OFFSETS("3", "7")), ST_CORRUPT, "the tensor before ends at 4"},
    {TWO(OFFSETS("0", "4"), OFFSETS("12", "16")), ST_CORRUPT, "the tensor before ends at 4"},
    {T("\"dtype\":\"F32\",\"shape\":[8]," OFFSETS("0", "32")), ST_CORRUPT,
     "the file holds only 16 bytes"},
    {"{\"t\":NaN}", ST_CORRUPT, "x.safetensors:1:"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[4]", ST_CORRUPT, "x.safetensors:1:"},
};

static void every_broken_field_is_named(void **state)
{
    expect(T(F32_4 "," OFFSETS("0", "16")), 16, ST_OK, "");
    expect(TWO(OFFSETS("4", "8"), OFFSETS("0", "4")), 8, ST_OK, "");
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        expect(broken[i].header, 16, broken[i].st, broken[i].words);
}

static void deep_nesting_is_refused(void **state)
{
    enum { DEPTH = 100000 };
    char *header = malloc(DEPTH + 8);

    memcpy(header, "{\"t\":", 5);
    memset(header + 5, '[', DEPTH);
    header[DEPTH + 5] = '\0';
    expect(header, 0, ST_CORRUPT, "depth");
    free(header);
}

static void a_name_of_256_bytes_is_refused(void **state)
{
    char header[600], name[257];

    memset(name, 'n', 256);
    name[256] = '\0';
    snprintf(header, sizeof header, "{\"%s\":{" F32_4 "," OFFSETS("0", "16") "}}", name);
    expect(header, 16, ST_CORRUPT, "1 to 255 printable");
    snprintf(header, sizeof header, "{\"%s\":{" F32_4 "," OFFSETS("0", "16") "}}", name + 1);
    expect(header, 16, ST_OK, "");
}

static void what_is_no_regular_file_is_refused(void **state)
{
    struct temp_dir dir = temp_dir_make();
    struct safetensors file = {0};
    struct err err = {{0}};
    char path[512];

    snprintf(path, sizeof path, "%s/x", dir.path);
    assert_int_equal(safetensors_open(&file, path, &err), ST_NOT_FOUND);
    assert_int_equal(safetensors_open(&file, dir.path, &err), ST_CORRUPT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(safetensors_open(&file, path, &err), ST_CORRUPT); /* and does not hang */
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(unlink(path), 0);
    temp_dir_write(&dir, "x", "", 0);
    assert_int_equal(safetensors_open(&file, path, &err), ST_CORRUPT);
    temp_dir_remove(&dir);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read_field_by_field),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_trailing_byte_is_refused),
        cmocka_unit_test(every_changed_header_byte_ends_in_a_status),
        cmocka_unit_test(lying_header_sizes_are_refused),
        cmocka_unit_test(every_broken_field_is_named),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_name_of_256_bytes_is_refused),
        cmocka_unit_test(what_is_no_regular_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
