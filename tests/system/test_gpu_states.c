/*
 * Bad states of a GPU, through the real processes on the backend whose kernels
 * run on the CPU: one line names the remedy, no process is left, finished trials
 * stay and the rest can be run once the state is mended.
 */
#include <sys/resource.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

enum { WAIT_S = 120, N_SEEDS = 8, TRIES = 5 };

static struct program p;

static void write_study(const char *methods, const char *seeds)
{
    char text[2048];

    snprintf(text, sizeof text,
             "name: states\ntarget: %s/experiments/demo/target\n"
             "draft: %s/experiments/demo/draft\ndataset: demo\ndocuments: 1\nseeds: %s\n"
             "gen_len: 2\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 2\nwarmup: false\n"
             "devices: {verify: cuda:0, draft: cuda:0}\nmethods: [%s]\nprefill: [24]\n",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR, seeds, methods);
    assert_true(program_write(&p, "states.yaml", text));
}

static void forget_faults(void)
{
    unsetenv("MSPECKV_SHIM_FAULTS");
    unsetenv("MSPECKV_SHIM_MEMORY_MIB");
    unsetenv("MSPECKV_SHIM_LOST");
}

static int open_program(void **state)
{
    forget_faults();
    if (!program_init(&p))
        return -1;
    p.path = TEST_BUILD_DIR "/shim/bin/mspeckv";
    return 0;
}

static int close_program(void **state)
{
    program_close(&p);
    forget_faults();
    return 0;
}

static const char *find(const char *words)
{
    const char *at = strstr(program_output(&p), words);

    if (at == NULL)
        fail_msg("no \"%s\" in:\n%s", words, program_output(&p));
    return at;
}

/* A run that cannot begin ends with one line that says what is wrong and, on the
 * same line, what mends it. */
static void expect_no_start(const char *wrong, const char *remedy)
{
    const char *line, *mended;

    program_start(&p, "run @/states.yaml --out @/run");
    assert_int_equal(program_wait(&p, WAIT_S), 1);
    line = find(wrong);
    mended = find(remedy);
    assert_true(mended > line && memchr(line, '\n', (size_t)(mended - line)) == NULL);
    assert_null(strstr(line + 1, wrong)); /* said once */
}

static void order_fault(const char *fault)
{
    write_study("vanilla_specdec", "[1]");
    setenv("MSPECKV_SHIM_FAULTS", fault, 1);
}

static void no_driver_is_said_with_what_to_install(void **state)
{
    order_fault("nodriver");
    expect_no_start("no NVIDIA driver (libcuda.so.1)", "install driver 580 or newer");
}

static void a_driver_too_old_is_said_with_the_one_that_is_needed(void **state)
{
    order_fault("driver");
    expect_no_start("the NVIDIA driver serves CUDA 12.0", "CUDA 13 needs driver 580 or newer");
}

static void a_gpu_that_another_process_holds_is_said_with_how_to_share_it(void **state)
{
    order_fault("busy");
    expect_no_start("taken by another process (exclusive mode)", "nvidia-smi -c DEFAULT");
}

static void refused_registration_names_the_limit_and_how_to_raise_it(void **state)
{
    struct rlimit before, small;

    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    small = (struct rlimit){1 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &small), 0);
    order_fault("register");
    expect_no_start("refuses to pin it (cudaErrorMemoryAllocation) with 1048576 bytes",
                    "ulimit -l unlimited");
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static void a_gpu_without_room_says_how_much_is_free(void **state)
{
    write_study("vanilla_specdec", "[1]");
    setenv("MSPECKV_SHIM_MEMORY_MIB", "6", 1);
    expect_no_start("of 6291456 are free", "keep fewer layers on it");
}

/* Only the middle level reads another process's memory. */
static void refused_ipc_fails_the_trials_that_need_it_and_keeps_the_others(void **state)
{
    write_study("baseline, mspeckv", "[1]");
    setenv("MSPECKV_SHIM_FAULTS", "ipc", 1);
    program_start(&p, "run @/states.yaml --out @/run");
    assert_true(program_find(&p, "verify") > 0);
    assert_int_equal(program_wait(&p, WAIT_S), 1);
    find("1 of 2 trials failed");
    find("cannot share its memory with another process");
    find("--ipc=host");
    assert_true(program_await(&p, "run/results.jsonl", "\"status\":\"ok\"", 0));
    assert_true(program_await(&p, "run/results.jsonl", "\"status\":\"failed\"", 0));
    assert_true(program_is_gone(&p));
}

static uint32_t count_ok(void)
{
    char path[128], line[8192];
    uint32_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/run/results.jsonl", p.dir);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        n += strstr(line, "\"status\":\"ok\"") != NULL;
    fclose(f);
    return n;
}

/* Returns the exit status of a run whose GPU was lost after its first trial; a
 * machine that gave this process no time may be past the last one: then another. */
static int run_and_lose(void)
{
    char sign[96];

    for (int i = 0; i < TRIES; i++) {
        int status;
        snprintf(sign, sizeof sign, "%s/lost", p.dir);
        setenv("MSPECKV_SHIM_LOST", sign, 1);
        write_study("baseline", "[1, 2, 3, 4, 5, 6, 7, 8]");
        program_start(&p, "run @/states.yaml --out @/run");
        assert_true(program_find(&p, "verify") > 0);
        assert_true(program_await(&p, "run/results.jsonl", "\"status\":\"ok\"", WAIT_S));
        assert_true(program_write(&p, "lost", ""));
        status = program_wait(&p, WAIT_S);
        if (status != 0)
            return status;
        program_close(&p);
        assert_int_equal(open_program(NULL), 0);
    }
    fail_msg("%d runs ended before their GPU could be lost", TRIES);
    return 0;
}

static void a_gpu_lost_in_a_run_leaves_finished_trials_and_no_process(void **state)
{
    char sign[96];
    uint32_t n_ok;

    assert_int_equal(run_and_lose(), 1);
    find("this process cannot use the GPU any more: look for Xid lines");
    find("the NVIDIA driver shows this process no GPU");
    assert_true(program_is_gone(&p));
    n_ok = count_ok();
    assert_in_range(n_ok, 1, N_SEEDS - 1);

    snprintf(sign, sizeof sign, "%s/lost", p.dir);
    assert_int_equal(unlink(sign), 0);
    assert_int_equal(program_run(&p, "run --resume @/run"), 0);
    assert_int_equal(count_ok(), N_SEEDS);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(no_driver_is_said_with_what_to_install),
        CASE(a_driver_too_old_is_said_with_the_one_that_is_needed),
        CASE(a_gpu_that_another_process_holds_is_said_with_how_to_share_it),
        CASE(refused_registration_names_the_limit_and_how_to_raise_it),
        CASE(a_gpu_without_room_says_how_much_is_free),
        CASE(refused_ipc_fails_the_trials_that_need_it_and_keeps_the_others),
        CASE(a_gpu_lost_in_a_run_leaves_finished_trials_and_no_process),
    };

    if (access(TEST_BUILD_DIR "/shim/lib/libmspeckv_cuda.so", R_OK) != 0 ||
        access(TEST_BUILD_DIR "/shim/bin/mspeckv", X_OK) != 0)
        test_skip_program("the backend whose kernels run on the CPU is not built (shim/)");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
