/*
 * What every message is on the wire: golden bytes, what an independent reader
 * (msgpack-c's own) finds in them, and that every field comes back.
 */
#include "tests/test_helpers.h"

#include <msgpack.h>

#include "tests/common/msg_sample.h"

enum { MAX_HEX = 4096 };

/* ---- the table covers the structs ---- */

static size_t align_of(const struct field *f)
{
    if (f->kind == KIND_TEXT || f->kind == KIND_BOOL)
        return 1;
    return f->kind == KIND_U64 || f->kind == KIND_F64 || f->size == sizeof(void *) ? 8 : 4;
}

/* An array with a count directly before it, in the struct. */
static bool has_count(const struct field *f)
{
    return f->kind == KIND_ARRAY && (strcmp(f->name, "token") == 0 || strcmp(f->name, "run") == 0 ||
                                     strcmp(f->name, "checksum") == 0);
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void test_the_table_of_the_tests_leaves_no_field_out(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        const struct message *m = &messages[k];
        size_t end = 0, largest = 1;
        for (size_t i = 0; i < count_fields(m); i++) {
            const struct field *f = &m->field[i];
            if (has_count(f))
                end = round_up(end, 4) + 4;
            end = round_up(end, align_of(f));
            if (f->offset != end)
                fail_msg("%s: something lies before %s", m->word, f->name);
            end += f->size;
            largest = align_of(f) > largest ? align_of(f) : largest;
        }
        if (count_fields(m) > 0)
            assert_int_equal(round_up(end, largest), m->struct_size);
    }
}

/* ---- golden bytes ---- */

static void to_hex(const uint8_t *bytes, size_t n_bytes, char hex[MAX_HEX])
{
    assert_true(2 * n_bytes < MAX_HEX);
    hex[0] = '\0';
    for (size_t i = 0; i < n_bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

/* Lines of "VERB hex" in the order of the verbs. Where this fails, a message
 * has changed on the wire: raise MSG_VERSION, then take the bytes shown. */
static void test_every_message_has_its_golden_bytes(void **state)
{
    FILE *f = fopen(TEST_SOURCE_DIR "/tests/common/msg_golden.txt", "r");
    char verb[64], golden[MAX_HEX], hex[MAX_HEX];
    int n_wrong = 0;

    assert_non_null(f);
    for (size_t k = 0; k < N_MESSAGES; k++) {
        size_t n_bytes = 0;
        uint8_t *bytes = pack_sample(&messages[k], &n_bytes);
        int n_read = fscanf(f, "%63s %4095s", verb, golden);
        to_hex(bytes, n_bytes, hex);
        free(bytes);
        if (n_read == 2 && strcmp(verb, msg_verb_name(messages[k].verb)) == 0 &&
            strcmp(golden, hex) == 0)
            continue;
        n_wrong++;
        printf("%s %s\n", msg_verb_name(messages[k].verb), hex);
    }
    assert_int_equal(fscanf(f, "%63s", verb), EOF);
    fclose(f);
    assert_int_equal(n_wrong, 0);
}

static void check_element(const struct message *m, const struct field *f, const uint8_t *at,
                          const msgpack_object *o)
{
    uint64_t u = 0;
    int32_t i = 0;
    double d = 0;
    bool same = false;

    memcpy(&u, at, f->size < sizeof u ? f->size : sizeof u);
    memcpy(&i, at, f->size < sizeof i ? f->size : sizeof i);
    memcpy(&d, at, f->size < sizeof d ? f->size : sizeof d);
    if (f->kind == KIND_U32 || f->kind == KIND_U64)
        same = o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 == u;
    if (f->kind == KIND_I32)
        same = o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER && o->via.i64 == i;
    if (f->kind == KIND_F64)
        same = o->type == MSGPACK_OBJECT_FLOAT64 && o->via.f64 == d;
    if (f->kind == KIND_BOOL)
        same = o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean;
    if (f->kind == KIND_TEXT)
        same = o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen((const char *)at) &&
               memcmp(o->via.str.ptr, at, o->via.str.size) == 0;
    if (f->kind == KIND_ARRAY)
        same = (o->type == MSGPACK_OBJECT_BIN &&
                o->via.bin.size == N_ITEMS * (m->verb == MSG_COMMIT ? 8 : 4)) ||
               (o->type == MSGPACK_OBJECT_ARRAY &&
                o->via.array.size == (m->verb == MSG_RESULT ? MSG_MAX_ROWS : N_ITEMS));
    if (!same)
        fail_msg("%s: field %s does not hold its value", m->word, f->name);
}

static void test_a_body_is_one_msgpack_array_of_the_fields_in_order(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        const struct message *m = &messages[k];
        size_t n_bytes = 0, at = MSG_HEADER_BYTES;
        uint8_t *bytes = pack_sample(m, &n_bytes);
        msgpack_unpacked result;
        struct msg msg;

        msgpack_unpacked_init(&result);
        assert_int_equal(msgpack_unpack_next(&result, (const char *)bytes, n_bytes, &at),
                         MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(at, n_bytes);
        assert_int_equal(result.data.type, MSGPACK_OBJECT_ARRAY);
        assert_int_equal(result.data.via.array.size, count_fields(m));
        fill(&msg, m);
        for (size_t i = 0; i < count_fields(m); i++)
            check_element(m, &m->field[i], body_of(&msg) + m->field[i].offset,
                          &result.data.via.array.ptr[i]);
        msg_release(&msg);
        msgpack_unpacked_destroy(&result);
        free(bytes);
    }
}

/* ---- round trip ---- */

static void check_field(const struct message *m, const struct field *f, struct msg *a,
                        struct msg *b)
{
    static const uint8_t zero[MSG_TEXT];
    const uint8_t *x = body_of(a) + f->offset;
    const uint8_t *y = body_of(b) + f->offset;

    if (f->kind == KIND_ARRAY && f->size == sizeof(void *))
        return; /* owned: check_owned */
    if (memcmp(x, zero, f->size) == 0 || memcmp(x, y, f->size) != 0)
        fail_msg("%s: field %s did not come back", m->word, f->name);
}

static void check_owned(const struct msg *a, const struct msg *b)
{
    const struct msg_page_map *map = &b->page_map;

    if (a->verb == MSG_PREFILL) {
        assert_int_equal(b->prefill.n_tokens, N_ITEMS);
        assert_memory_equal(a->prefill.token, b->prefill.token, N_ITEMS * 4);
    }
    if (a->verb == MSG_TOKENS) {
        assert_int_equal(b->tokens.n_tokens, N_ITEMS);
        assert_memory_equal(a->tokens.token, b->tokens.token, N_ITEMS * 4);
    }
    if (a->verb == MSG_RESULT) {
        assert_int_equal(b->result.n_tokens, N_ITEMS);
        assert_memory_equal(a->result.token, b->result.token, N_ITEMS * 4);
    }
    if (a->verb == MSG_PROPOSE)
        assert_int_equal(b->propose.n_tokens, N_ITEMS);
    if (a->verb == MSG_COMMIT) {
        assert_int_equal(b->commit.n_checksums, N_ITEMS);
        assert_memory_equal(a->commit.checksum, b->commit.checksum, N_ITEMS * 8);
    }
    if (a->verb != MSG_RESERVED && a->verb != MSG_PAGE_MAP)
        return;
    assert_int_equal(map->n_runs, N_ITEMS);
    for (uint32_t i = 0; i < N_ITEMS; i++) {
        const struct msg_page_run *x = &a->page_map.run[i], *y = &map->run[i];
        assert_true(x->layer == y->layer && x->first_page == y->first_page);
        assert_true(x->n_pages == y->n_pages && x->offset == y->offset);
    }
}

static void test_every_field_comes_back(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        const struct message *m = &messages[k];
        size_t n_bytes = 0, n_again = 0;
        uint8_t *bytes = pack_sample(m, &n_bytes), *again = NULL;
        struct msg in, out;

        fill(&in, m);
        assert_int_equal(msg_unpack(&out, bytes, n_bytes, NULL), ST_OK);
        assert_int_equal(out.verb, in.verb);
        assert_true(out.request == in.request && out.epoch == in.epoch);
        for (size_t i = 0; i < count_fields(m); i++)
            check_field(m, &m->field[i], &in, &out);
        check_owned(&in, &out);
        assert_int_equal(msg_pack(&out, &again, &n_again, NULL), ST_OK);
        assert_int_equal(n_again, n_bytes);
        assert_memory_equal(again, bytes, n_bytes);
        msg_release(&in);
        msg_release(&out);
        free(again);
        free(bytes);
    }
}

/* ---- the largest messages ---- */

static void test_the_longest_prompt_travels_and_one_token_more_does_not(void **state)
{
    struct msg in = {.verb = MSG_PREFILL}, out;
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    struct err err = {{0}};

    in.prefill.n_tokens = MSG_MAX_TOKENS;
    in.prefill.token = mem_array(MSG_MAX_TOKENS + 1, sizeof(int32_t));
    in.prefill.token[MSG_MAX_TOKENS - 1] = -7;
    assert_int_equal(msg_pack(&in, &bytes, &n_bytes, NULL), ST_OK);
    assert_true(n_bytes <= MSG_MAX_BYTES);
    assert_int_equal(msg_unpack(&out, bytes, n_bytes, NULL), ST_OK);
    assert_int_equal(out.prefill.n_tokens, MSG_MAX_TOKENS);
    assert_int_equal(out.prefill.token[MSG_MAX_TOKENS - 1], -7);
    msg_release(&out);
    free(bytes);
    in.prefill.n_tokens++;
    assert_int_equal(msg_pack(&in, &bytes, &n_bytes, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "token"));
    msg_release(&in);
}

static void test_a_full_page_map_fits_into_a_message(void **state)
{
    struct msg msg = {.verb = MSG_PAGE_MAP};
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;

    msg.page_map.n_runs = MSG_MAX_RUNS;
    msg.page_map.run = mem_array(MSG_MAX_RUNS, sizeof *msg.page_map.run);
    for (uint32_t i = 0; i < MSG_MAX_RUNS; i++)
        msg.page_map.run[i] = (struct msg_page_run){~0u, ~0u, ~0u, ~0ull};
    assert_int_equal(msg_pack(&msg, &bytes, &n_bytes, NULL), ST_OK);
    msg_release(&msg);
    assert_int_equal(msg_unpack(&msg, bytes, n_bytes, NULL), ST_OK);
    assert_int_equal(msg.page_map.n_runs, MSG_MAX_RUNS);
    msg_release(&msg);
    free(bytes);
}

/* ---- hash and names ---- */

static void test_the_prefix_hash_depends_on_every_token_and_their_order(void **state)
{
    uint64_t ab = msg_prefix_hash(msg_prefix_hash(0, 1), 2);
    uint64_t ba = msg_prefix_hash(msg_prefix_hash(0, 2), 1);

    assert_true(ab != ba);
    assert_true(ab == msg_prefix_hash(msg_prefix_hash(0, 1), 2));
    assert_true(msg_prefix_hash(0, 0) != 0);
    assert_true(msg_prefix_hash(0, -1) != msg_prefix_hash(0, 0));
    assert_true(msg_prefix_hash(ab, 5) != msg_prefix_hash(ba, 5));
    /* Peers of different builds compare these: a golden value. */
    assert_true(msg_prefix_hash(0, 0) == 0x5692161d100b05e5u);
}

static void test_methods_are_parsed_by_the_names_they_have(void **state)
{
    static const char *const names[] = {"baseline", "vanilla_specdec", "mspeckv",
                                        "mspeckv_kv_quant"};
    struct err err = {{0}};
    enum method method;

    for (int i = 0; i < METHOD_COUNT; i++) {
        assert_int_equal(method_parse(names[i], &method, NULL), ST_OK);
        assert_int_equal(method, i);
        assert_string_equal(method_name(method), names[i]);
    }
    assert_int_equal(method_parse("mspec", &method, &err), ST_NOT_FOUND);
    for (int i = 0; i < METHOD_COUNT; i++)
        assert_non_null(strstr(err.text, names[i]));
    assert_string_equal(msg_verb_name(MSG_PROPOSE), "PROPOSE");
    assert_string_equal(msg_verb_name(MSG_VERB_COUNT), "unknown verb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_of_the_tests_leaves_no_field_out),
        cmocka_unit_test(test_every_message_has_its_golden_bytes),
        cmocka_unit_test(test_a_body_is_one_msgpack_array_of_the_fields_in_order),
        cmocka_unit_test(test_every_field_comes_back),
        cmocka_unit_test(test_the_longest_prompt_travels_and_one_token_more_does_not),
        cmocka_unit_test(test_a_full_page_map_fits_into_a_message),
        cmocka_unit_test(test_the_prefix_hash_depends_on_every_token_and_their_order),
        cmocka_unit_test(test_methods_are_parsed_by_the_names_they_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
