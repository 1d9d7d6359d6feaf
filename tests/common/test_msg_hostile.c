/*
 * What is not a message is refused with words: for every message, every
 * truncation, a trailing byte, another version, another type of field.
 */
#include "tests/test_helpers.h"

#include "tests/common/msg_sample.h"

/* From an exactly sized copy, so that reading past the end is seen. */
static enum status unpack_copy(const uint8_t *bytes, size_t n_bytes, struct err *err)
{
    uint8_t *copy = mem_alloc(n_bytes);
    struct msg msg;
    enum status st;

    memcpy(copy, bytes, n_bytes);
    *err = (struct err){{0}};
    st = msg_unpack(&msg, copy, n_bytes, err);
    if (st == ST_OK)
        msg_release(&msg);
    free(copy);
    return st;
}

static void set_body_length(uint8_t *bytes, size_t n_bytes)
{
    uint32_t n_body = (uint32_t)(n_bytes - MSG_HEADER_BYTES);

    memcpy(bytes + 24, &n_body, sizeof n_body);
}

static void test_every_truncation_is_refused(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        size_t n_bytes = 0;
        uint8_t *bytes = pack_sample(&messages[k], &n_bytes);
        struct err err;

        for (size_t n = 0; n < n_bytes; n++) {
            assert_int_equal(unpack_copy(bytes, n, &err), ST_CORRUPT);
            assert_true(err.text[0] != '\0');
        }
        /* The same with a header that agrees, so that the fields must notice. */
        for (size_t n = MSG_HEADER_BYTES; n < n_bytes; n++) {
            set_body_length(bytes, n);
            assert_int_equal(unpack_copy(bytes, n, &err), ST_CORRUPT);
            assert_non_null(strstr(err.text, "is malformed"));
        }
        free(bytes);
    }
}

static void test_a_trailing_byte_is_refused(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        size_t n_bytes = 0;
        uint8_t *bytes = pack_sample(&messages[k], &n_bytes);
        struct err err;

        bytes = mem_resize(bytes, n_bytes + 1, 1);
        bytes[n_bytes] = 0x01;
        assert_int_equal(unpack_copy(bytes, n_bytes + 1, &err), ST_CORRUPT);
        set_body_length(bytes, n_bytes + 1);
        assert_int_equal(unpack_copy(bytes, n_bytes + 1, &err), ST_CORRUPT);
        assert_non_null(strstr(err.text, "1 bytes follow its last field"));
        free(bytes);
    }
}

static void test_another_version_is_named(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        size_t n_bytes = 0;
        uint8_t *bytes = pack_sample(&messages[k], &n_bytes);
        struct err err;

        bytes[4] = MSG_VERSION + 6;
        assert_int_equal(unpack_copy(bytes, n_bytes, &err), ST_VERSION);
        assert_non_null(strstr(err.text, "version 9 where 3 is spoken"));
        free(bytes);
    }
}

/* Each field made one that the list must refuse: 0xc0 (nil) in its place. */
static void test_a_field_of_another_type_is_refused_by_name(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        size_t n_bytes = 0;
        uint8_t *bytes = pack_sample(&messages[k], &n_bytes);
        size_t first = messages[k].n_fields < 16 ? 1 : 3; /* after the array header */
        struct err err;

        if (count_fields(&messages[k]) > 0) {
            bytes[MSG_HEADER_BYTES + first] = 0xc0;
            assert_int_equal(unpack_copy(bytes, n_bytes, &err), ST_CORRUPT);
            assert_non_null(strstr(err.text, messages[k].field[0].name));
            assert_non_null(strstr(err.text, msg_verb_name(messages[k].verb)));
        }
        free(bytes);
    }
}

static void test_a_wrong_header_is_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *words;
    } changes[] = {{0, 'X', "not a message"}, {6, MSG_VERB_COUNT, "verb"}, {7, 0xff, "verb"},
                   {24, 0, "announces"},      {27, 0xff, "announces"},     {28, 1, "announces"}};
    size_t n_bytes = 0;
    uint8_t *bytes = pack_sample(&messages[MSG_SEQ], &n_bytes);
    struct err err;

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t old = bytes[changes[i].at];
        bytes[changes[i].at] = changes[i].value;
        assert_int_equal(unpack_copy(bytes, n_bytes, &err), ST_CORRUPT);
        assert_non_null(strstr(err.text, changes[i].words));
        bytes[changes[i].at] = old;
    }
    assert_int_equal(unpack_copy(bytes, n_bytes, &err), ST_OK);
    free(bytes);
}

/* Values at a field's limit must not even be sent. */
static void test_a_value_over_its_limit_is_not_packed(void **state)
{
    for (size_t k = 0; k < N_MESSAGES; k++) {
        const struct message *m = &messages[k];
        for (size_t i = 0; i < count_fields(m); i++) {
            struct msg msg;
            struct err err = {{0}};
            uint8_t *bytes = NULL;
            size_t n_bytes = 0;

            if (m->field[i].limit == 0)
                continue;
            fill(&msg, m);
            memcpy(body_of(&msg) + m->field[i].offset, &m->field[i].limit, 4);
            assert_int_equal(msg_pack(&msg, &bytes, &n_bytes, &err), ST_CORRUPT);
            assert_non_null(strstr(err.text, m->field[i].name));
            assert_null(bytes);
            msg_release(&msg);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_a_trailing_byte_is_refused),
        cmocka_unit_test(test_another_version_is_named),
        cmocka_unit_test(test_a_field_of_another_type_is_refused_by_name),
        cmocka_unit_test(test_a_wrong_header_is_refused),
        cmocka_unit_test(test_a_value_over_its_limit_is_not_packed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
