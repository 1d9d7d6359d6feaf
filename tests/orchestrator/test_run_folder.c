#include "tests/orchestrator/sample.h"

#include <jansson.h>

#include "common/mem.h"
#include "orchestrator/manifest.h"
#include "orchestrator/run_folder.h"

static char home[64];

static int make_home(void **state)
{
    strcpy(home, "/tmp/test_run_XXXXXX");
    return mkdtemp(home) == NULL ? 1 : 0;
}

static int drop_home(void **state)
{
    char *command = mem_printf("rm -r %s", home);
    int rc = system(command);
    free(command);
    return rc;
}

static void a_run_gets_its_own_new_folder(void **state)
{
    struct err err = {{0}};
    char *base = mem_printf("%s/a/runs", home), *path = NULL, *second = NULL;
    assert_int_equal(run_folder_make(&path, base, "demo-quick", &err), ST_OK);
    char *logs = mem_printf("%s/logs", path);
    assert_int_equal(access(logs, W_OK), 0);
    size_t n = strlen(base);
    assert_memory_equal(path, base, n);
    assert_memory_equal(path + n, "/demo-quick-2", 13); /* a year of this millennium */
    assert_int_equal(path[n + strlen("/demo-quick-20260101")], 'T');
    /* Within the same second the name is taken: refused, not shared. */
    enum status st = run_folder_make(&second, base, "demo-quick", &err);
    if (st == ST_OK)
        assert_string_not_equal(second, path);
    else
        assert_non_null(strstr(err.text, "File exists"));
    free(second);
    free(logs);
    free(path);
    free(base);
}

static void out_may_be_absent_or_empty(void **state)
{
    struct err err = {{0}};
    char *path = NULL, *fresh = mem_printf("%s/x/y", home), *empty = mem_printf("%s/e", home);
    assert_int_equal(run_folder_take(&path, fresh, &err), ST_OK);
    assert_string_equal(path, fresh);
    free(path);
    free(fresh);
    assert_int_equal(run_folder_take(&path, empty, &err), ST_OK);
    free(path);
    /* Now it holds logs/. */
    assert_int_equal(run_folder_take(&path, empty, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "is not empty (it holds logs); a new or empty directory"));
    free(empty);
}

static void out_may_not_be_a_file(void **state)
{
    struct err err = {{0}};
    char *path = NULL, *file = mem_printf("%s/f", home);
    fclose(fopen(file, "w"));
    assert_int_equal(run_folder_take(&path, file, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "is no directory"));
    assert_int_equal(run_folder_take(&path, "", &err), ST_INVALID);
    free(file);
}

/* The sample's prompts: documents 1 and 2 of the demo text. */
static struct prompt_source *open_source(const struct experiment *e, struct tokenizer **tok)
{
    struct prompt_source *source = NULL;
    struct err err = {{0}};
    const char *dir = TEST_SOURCE_DIR "/experiments/demo/target";
    assert_int_equal(tokenizer_open(tok, dir, &err), ST_OK);
    const struct prompt_source_args args = {.tok = *tok,
                                            .dataset = e->dataset,
                                            .n_documents = e->n_documents,
                                            .document_seed = e->document_seed,
                                            .n_tokens = 2000,
                                            .n_tokens_min = 1000};
    if (prompt_source_open(&source, &args, &err) != ST_OK)
        fail_msg("%s", err.text);
    return source;
}

/* Kind, template, and of each document its seed and the hash of both prompts. */
static void check_text(json_t *text, struct prompt_source *source)
{
    const char *kind = NULL, *template = NULL, *name = NULL, *hash = NULL;
    char want[32];
    int chat = 1, prefill = 0, seed = 0;
    json_t *documents = json_object_get(text, "documents");
    assert_int_equal(
        json_unpack(text, "{s:s, s:s, s:b}", "kind", &kind, "template", &template, "chat", &chat),
        0);
    assert_string_equal(kind, "demo");
    assert_string_equal(template, "none");
    assert_false(chat);
    assert_true(json_is_null(json_object_get(text, "field")));
    assert_int_equal(json_array_size(documents), 2);
    json_t *second = json_array_get(documents, 1);
    json_t *prompts = json_object_get(second, "prompts");
    assert_int_equal(json_array_size(prompts), 2);
    assert_int_equal(json_unpack(second, "{s:s, s:i}", "name", &name, "seed", &seed), 0);
    assert_string_equal(name, "seed 2");
    assert_int_equal(seed, 2);
    assert_int_equal(json_unpack(json_array_get(prompts, 1), "{s:i, s:s}", "prefill", &prefill,
                                 "token_hash", &hash),
                     0);
    assert_int_equal(prefill, 2000);
    snprintf(want, sizeof want, "xxh3-64:%016llx",
             (unsigned long long)prompt_source_hash(source, 1, 2000));
    assert_string_equal(hash, want);
}

static void check_measured(json_t *all)
{
    const char *version = NULL, *arena = NULL;
    double gbps = 0;
    int simulated = 0, n_cpus = 0;
    assert_non_null(all);
    assert_int_equal(json_unpack(all, "{s:s, s:{s:s}, s:{s:F, s:b}, s:{s:i}}", "version", &version,
                                 "store", "arena", &arena, "link", "gbps", &gbps, "simulated",
                                 &simulated, "machine", "cpus", &n_cpus),
                     0);
    assert_string_equal(version, "0.1.0");
    assert_string_equal(arena, "posix");
    assert_close(gbps, 0.25, 0);
    assert_true(simulated);
    assert_true(n_cpus >= 1);
}

static void check_origin(json_t *all)
{
    json_t *origin = json_object_get(all, "origin");
    assert_string_equal(json_string_value(json_object_get(origin, "directory")), "/here");
    assert_string_equal(json_string_value(json_object_get(origin, "text")), "name: sample\n");
    json_t *set = json_array_get(json_object_get(origin, "set"), 0);
    assert_string_equal(json_string_value(set), "gamma=8");
    assert_int_equal(json_array_size(json_object_get(all, "resumed")), 0);
}

static void check_settings(json_t *experiment)
{
    const char *acceptance = NULL;
    int gamma = 0;
    json_t *studies = json_object_get(experiment, "studies");
    assert_int_equal(json_array_size(studies), 2);
    assert_int_equal(json_unpack(json_array_get(studies, 1), "{s:{s:i, s:s}}", "fixed", "gamma",
                                 &gamma, "acceptance", &acceptance),
                     0);
    assert_int_equal(gamma, 8);
    assert_string_equal(acceptance, "rejection");
}

static void the_manifest_says_all_settings_and_the_machine(void **state)
{
    struct err err = {{0}};
    struct experiment *e = sample_parse(sample_text);
    struct machine machine;
    char *argv[] = {"mspeckv", "run", "f.yaml", "\xff"};
    char *path = mem_printf("%s/manifest.json", home);
    machine_read(&machine, "");
    struct matrix *matrix = sample_matrix(e, 8);
    struct tokenizer *tok = NULL;
    struct prompt_source *source = open_source(e, &tok);
    struct manifest m = {.e = e,
                         .matrix = matrix,
                         .source = source,
                         .machine = &machine,
                         .version = "0.1.0",
                         .argc = 4,
                         .argv = argv,
                         .target_fingerprint = "xxh3:1",
                         .n_layers = 8,
                         .arena_kind = "posix",
                         .arena_bytes = 1 << 30,
                         .numa_node = -1,
                         .numa_local_share = -1,
                         .is_started = true,
                         .directory = "/here",
                         .text = "name: sample\n",
                         .set = (const char *const[]){"gamma=8"},
                         .n_sets = 1,
                         .memory_gbps = 15.5,
                         .link_gbps = 0.25,
                         .link_simulated = true};
    assert_int_equal(manifest_write(&m, path, &err), ST_OK);
    json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    check_measured(all);
    check_origin(all);
    check_settings(json_object_get(all, "experiment"));
    /* Absent things are null, not invented. */
    assert_true(json_is_null(json_object_get(all, "commit")));
    assert_true(json_is_null(json_object_get(all, "draft_fingerprint")));
    assert_true(json_is_null(json_object_get(json_object_get(all, "store"), "numa_node")));
    check_text(json_object_get(json_object_get(all, "experiment"), "text"), source);
    json_decref(all);
    char *temporary = mem_printf("%s.tmp", path);
    assert_int_not_equal(access(temporary, F_OK), 0);
    free(temporary);
    free(path);
    prompt_source_close(source);
    tokenizer_close(tok);
    matrix_close(matrix);
    experiment_free(e);
}

static void the_machine_has_a_processor_memory_and_a_kernel(void **state)
{
    struct machine m;
    machine_read(&m, "");
    assert_true(m.n_cpus >= 1);
    assert_true(m.memory_bytes > 1 << 20);
    assert_memory_equal(m.kernel, "Linux ", 6);
    assert_null(strchr(m.cpu_model, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_gets_its_own_new_folder, make_home, drop_home),
        cmocka_unit_test_setup_teardown(out_may_be_absent_or_empty, make_home, drop_home),
        cmocka_unit_test_setup_teardown(out_may_not_be_a_file, make_home, drop_home),
        cmocka_unit_test_setup_teardown(the_manifest_says_all_settings_and_the_machine, make_home,
                                        drop_home),
        cmocka_unit_test(the_machine_has_a_processor_memory_and_a_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
