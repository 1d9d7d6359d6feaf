#include "orchestrator/run_record.h"

#include <jansson.h>

#include "tests/orchestrator/fake_machine.h"

static struct fake_machine folder; /* a directory of its own */

static const char sample[] =
    "{\"manifest\": 2, \"version\": \"1.2.3\", \"commit\": \"abc\","
    " \"machine\": {\"cpu_model\": \"Zen\", \"cpu_flags\": \"avx2\", \"cpus\": 2},"
    " \"store\": {\"arena\": \"posix\"}, \"link\": {\"gbps\": 0.25}, \"memory_gbps\": 20.5,"
    " \"target_fingerprint\": \"t\", \"draft_fingerprint\": null, \"layers\": 8,"
    " \"experiment\": {\"file\": \"x.yaml\", \"studies\": [{\"gamma\": 4}, {\"gamma\": 8}]},"
    " \"origin\": {\"directory\": \"/here\", \"set\": [\"gamma=8\", \"seeds=[1]\"],"
    " \"text\": \"name: x\\n\"}, \"resumed\": []}";

static int open_folder(void **state)
{
    fake_machine_open(&folder);
    return 0;
}

static int close_folder(void **state)
{
    fake_machine_close(&folder);
    return 0;
}

/* `sample` with the first `old` replaced; owned by the caller. */
static char *edited(const char *old, const char *new_words)
{
    const char *at = strstr(sample, old);
    char *text = malloc(sizeof sample + strlen(new_words));

    assert_non_null(at);
    assert_non_null(text);
    sprintf(text, "%.*s%s%s", (int)(at - sample), sample, new_words, at + strlen(old));
    return text;
}

static void put(const char *old, const char *new_words)
{
    char *text = edited(old, new_words);

    fake_machine_put(&folder, "manifest.json", text);
    free(text);
}

static void expect_refusal(enum status wanted, const char *words)
{
    struct run_record r;
    struct err err = {{0}};
    enum status st = run_record_read(&r, folder.root, "1.2.3", "abc", &err);

    if (st != wanted || strstr(err.text, words) == NULL)
        fail_msg("%d with \"%s\" was wanted, not %d and \"%s\"", wanted, words, st, err.text);
    run_record_release(&r);
}

static void a_record_gives_what_a_run_came_from(void **state)
{
    struct run_record r;
    struct err err = {{0}};

    put("Zen", "Zen");
    assert_int_equal(run_record_read(&r, folder.root, "1.2.3", "abc", &err), ST_OK);
    assert_string_equal(r.file, "x.yaml");
    assert_string_equal(r.directory, "/here");
    assert_string_equal(r.text, "name: x\n");
    assert_int_equal(r.n_sets, 2);
    assert_string_equal(r.set[1], "seeds=[1]");
    assert_true(r.is_started);
    assert_close(r.memory_gbps, 20.5, 0);
    assert_close(r.link_gbps, 0.25, 0);
    run_record_release(&r);
    put("{\"gbps\": 0.25}", "{\"gbps\": null}");
    assert_int_equal(run_record_read(&r, folder.root, "1.2.3", "abc", &err), ST_OK);
    assert_close(r.link_gbps, 0, 0);
    run_record_release(&r);
    put("{\"arena\": \"posix\"}", "null");
    assert_int_equal(run_record_read(&r, folder.root, "1.2.3", "abc", &err), ST_OK);
    assert_false(r.is_started);
    run_record_release(&r);
}

static void another_program_is_refused(void **state)
{
    struct run_record r;
    struct err err = {{0}};

    put("1.2.3", "1.2.4");
    expect_refusal(ST_VERSION, "begun by 1.2.4 (abc) and this is 1.2.3 (abc)");
    put("\"abc\"", "\"abd\"");
    expect_refusal(ST_VERSION, "begun by 1.2.3 (abd)");
    put("\"abc\"", "null");
    expect_refusal(ST_VERSION, "begun by 1.2.3 (no commit)");
    assert_int_equal(run_record_read(&r, folder.root, "1.2.3", NULL, &err), ST_OK);
    run_record_release(&r);
    put("\"manifest\": 2", "\"manifest\": 1");
    expect_refusal(ST_VERSION, "format 1, and this program reads 2");
}

static void what_is_no_record_is_refused_by_its_field(void **state)
{
    static const struct {
        const char *old, *put, *words;
    } of[] = {
        {"\"manifest\": 2", "\"manifest\": \"2\"", "field \"manifest\""},
        {"\"1.2.3\"", "7", "field \"version\""},
        {"\"x.yaml\"", "null", "field \"experiment.file\""},
        {"\"/here\"", "\"here\"", "field \"origin.directory\""},
        {"\"/here\"", "\"/he\\u0000re\"", "manifest.json:1:"},
        {"\"name: x\\n\"", "[]", "field \"origin.text\""},
        {"[\"gamma=8\", ", "{\"gamma=8\": ", "manifest.json:1:"},
        {"\"gamma=8\"", "8", "field \"origin.set\""},
        {"\"resumed\": []", "\"resumed\": 0", "field \"resumed\""},
        {"{\"arena\": \"posix\"}", "[]", "field \"store\""},
        {"20.5", "null", "field \"memory_gbps\""},
        {"20.5", "-1", "field \"memory_gbps\""},
        {"0.25", "\"fast\"", "field \"link.gbps\""},
        {"\"layers\": 8", "\"layers\": 8, \"layers\": 8", "manifest.json:1:"},
    };

    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        put(of[i].old, of[i].put);
        expect_refusal(ST_CORRUPT, of[i].words);
    }
    fake_machine_put(&folder, "manifest.json", "[]");
    expect_refusal(ST_CORRUPT, "field \"manifest\"");
    fake_machine_put(&folder, "manifest.json", "");
    expect_refusal(ST_CORRUPT, "manifest.json:");
}

static void a_folder_that_is_no_run_is_named(void **state)
{
    struct run_record r;
    struct err err = {{0}};

    expect_refusal(ST_NOT_FOUND, "is no run directory: it has no manifest.json");
    assert_int_equal(run_record_read(&r, "/nonexistent", "1", NULL, &err), ST_NOT_FOUND);
    run_record_release(&r);
    assert_int_equal(run_record_read(&r, "/dev/null", "1", NULL, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "is no directory"));
    run_record_release(&r);
}

static void expect_difference(const char *old, const char *new_words, const char *words)
{
    struct run_record r;
    struct err err = {{0}};
    char *now = edited(old, new_words);
    enum status st;

    put("Zen", "Zen");
    assert_int_equal(run_record_read(&r, folder.root, "1.2.3", "abc", &err), ST_OK);
    st = run_record_check(&r, now, &err);
    if (words == NULL)
        assert_int_equal(st, ST_OK);
    else if (st != ST_STALE || strstr(err.text, words) == NULL)
        fail_msg("\"%s\" was wanted, not %d and \"%s\"", words, st, err.text);
    run_record_release(&r);
    free(now);
}

static void the_first_thing_that_has_changed_is_named(void **state)
{
    expect_difference("Zen", "Zen", NULL);
    expect_difference("posix", "memfd", NULL); /* what the store was granted may differ */
    expect_difference("0.25", "0.5", NULL);    /* it is frozen */
    expect_difference("Zen", "Xeon", "machine.cpu_model is \"Zen\" there and \"Xeon\" now");
    expect_difference("\"cpus\": 2", "\"cpus\": 4", "machine.cpus is 2 there and 4 now");
    expect_difference("\"t\"", "\"u\"", "target_fingerprint is \"t\" there and \"u\" now");
    expect_difference("null", "\"d\"", "draft_fingerprint is null there and \"d\" now");
    expect_difference("{\"gamma\": 8}", "{\"gamma\": 9}",
                      "experiment.studies[1].gamma is 8 there and 9 now");
    expect_difference(", {\"gamma\": 8}", "",
                      "experiment.studies[1] is {\"gamma\":8} there and "
                      "absent now");
    expect_difference("{\"gamma\": 8}", "{\"gamma\": 8, \"k\": 1}", "experiment.studies[1] is ");
    expect_difference("\"gamma\": 4", "\"delta\": 4", "experiment.studies[0].gamma is 4");
}

static void each_time_that_a_run_goes_on_is_written_down(void **state)
{
    char *words[] = {(char *)(uintptr_t) "run", (char *)(uintptr_t) "--resume",
                     (char *)(uintptr_t) "\xFF"};
    struct run_record r;
    struct err err = {{0}};

    put("Zen", "Zen");
    for (size_t i = 1; i <= 2; i++) {
        assert_int_equal(run_record_read(&r, folder.root, "1.2.3", "abc", &err), ST_OK);
        assert_int_equal(run_record_note(&r, 3, words, &err), ST_OK);
        run_record_release(&r);
        assert_int_equal(run_record_read(&r, folder.root, "1.2.3", "abc", &err), ST_OK);
        json_t *list = json_object_get(r.root, "resumed");
        assert_int_equal(json_array_size(list), i);
        json_t *command = json_object_get(json_array_get(list, i - 1), "command");
        assert_string_equal(json_string_value(json_array_get(command, 1)), "--resume");
        assert_close(r.memory_gbps, 20.5, 0);
        run_record_release(&r);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_folder, close_folder)
    const struct CMUnitTest tests[] = {
        CASE(a_record_gives_what_a_run_came_from),
        CASE(another_program_is_refused),
        CASE(what_is_no_record_is_refused_by_its_field),
        CASE(a_folder_that_is_no_run_is_named),
        CASE(the_first_thing_that_has_changed_is_named),
        CASE(each_time_that_a_run_goes_on_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
