#include "orchestrator/doctor_backend.h"

#include "orchestrator/doctor.h"
#include "tests/orchestrator/fake_machine.h"
#include "tests/test_helpers.h"

static struct fake_machine m;
static struct doctor_facts facts;

static int open_machine(void **state)
{
    fake_machine_open(&m);
    doctor_facts_read(&facts, m.root);
    return 0;
}

static int close_machine(void **state)
{
    fake_machine_close(&m);
    return 0;
}

static void ask(const char *program)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", m.root, program);
    doctor_backend_ask(&facts.backend, path);
}

static void expect(const char *what, enum doctor_mark mark, const char *words, const char *remedy)
{
    struct doctor_list list = {.n_lines = 0};

    doctor_machine(&list, &facts);
    for (uint32_t i = 0; i < list.n_lines; i++) {
        const struct doctor_line *line = &list.line[i];
        if (strcmp(line->what, what) != 0)
            continue;
        if (line->mark != mark || strstr(line->text, words) == NULL ||
            strstr(line->remedy, remedy) == NULL)
            fail_msg("%s: mark %d, \"%s\", \"%s\" were wanted, not %d, \"%s\", \"%s\"", what, mark,
                     words, remedy, line->mark, line->text, line->remedy);
        return;
    }
    fail_msg("no line of %s", what);
}

static void a_backend_that_is_missing_matters_where_a_gpu_is(void **state)
{
    ask("none/bin/mspeckv");
    assert_false(facts.backend.is_there);
    expect("backend", DOCTOR_OK, "/none/lib/libmspeckv_cuda.so is not there", "");
    facts.n_gpus = 1;
    expect("backend", DOCTOR_NOTE, "/none/lib/libmspeckv_cuda.so is not there", "nvcc of CUDA 13");
}

static void a_backend_that_does_not_load_is_said_in_the_loaders_words(void **state)
{
    fake_machine_put(&m, "lib/libmspeckv_cuda.so", "no library");
    ask("bin/mspeckv");
    assert_true(facts.backend.is_there);
    assert_non_null(strstr(facts.backend.lacks, "lib/libmspeckv_cuda.so"));
    expect("backend", DOCTOR_NOTE, "CUDA does not load: ", "/usr/local/cuda/lib64");
}

static void a_backend_that_loads_is_said_with_its_place(void **state)
{
    char path[256];

    snprintf(path, sizeof path, "%s/lib/libmspeckv_cuda.so", m.root);
    facts.backend.is_there = true;
    snprintf(facts.backend.path, sizeof facts.backend.path, "%s", path);
    expect("backend", DOCTOR_OK, path, "");
}

static void a_driver_too_old_for_the_backend_is_noted(void **state)
{
    facts.n_gpus = 1;
    snprintf(facts.driver, sizeof facts.driver, "579.99");
    expect("GPU", DOCTOR_NOTE, "driver 579.99", "580 or newer");
    snprintf(facts.driver, sizeof facts.driver, "580.65.06");
    expect("GPU", DOCTOR_OK, "driver 580.65.06", "");
    snprintf(facts.driver, sizeof facts.driver, "of unknown version");
    expect("GPU", DOCTOR_OK, "driver of unknown version", "");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_machine, close_machine)
    const struct CMUnitTest tests[] = {
        CASE(a_backend_that_is_missing_matters_where_a_gpu_is),
        CASE(a_backend_that_does_not_load_is_said_in_the_loaders_words),
        CASE(a_backend_that_loads_is_said_with_its_place),
        CASE(a_driver_too_old_for_the_backend_is_noted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
