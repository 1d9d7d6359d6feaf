/*
 * A run by --launcher slurm, on the demo pair, against programs that act as
 * Slurm's do: the results of a local run, whatever dies or stops on the way.
 */
#include <signal.h>
#include <sys/stat.h>

#include "tests/system/fake_slurm.h"

enum { WAIT_S = 240 };

static struct program p;
static char *old_path;

static void shell(const char *command)
{
    char all[1024];

    snprintf(all, sizeof all, "cd '%s' && %s", p.dir, command);
    if (system(all) != 0)
        fail_msg("%s; the program said:\n%s", all, program_output(&p));
}

static int open_program(void **state)
{
    char text[1024];

    if (!program_init(&p))
        return -1;
    fake_slurm_install(&p, old_path);
    snprintf(text, sizeof text,
             "name: slurm\ntarget: %s/experiments/demo/target\n"
             "draft: %s/experiments/demo/draft\ndataset: demo\ndocuments: 1\nseeds: [1, 2]\n"
             "gen_len: 8\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 2\n"
             "warmup: false\nlink: {simulate_ratio: 62}\nthreads: 1\n"
             "slurm: {partition: far, at_once: 5, sbatch: [--gres=gpu:1]}\n"
             "methods: [baseline, mspeckv_kv_quant]\nprefill: [160, 200]\n",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR);
    return program_write(&p, "study.yaml", text) ? 0 : -1;
}

static int close_program(void **state)
{
    /* Tasks that a failed case has left wait no longer. */
    shell("rm -f q/hold; for f in q/[0-9]*/*.pid; do [ -e $f ] && kill $(cat $f); done "
          "2>/dev/null; true");
    program_close(&p);
    return setenv("PATH", old_path, 1);
}

static void wait_for(int status, const char *words)
{
    int got = program_wait(&p, WAIT_S);

    if (got != status || strstr(program_output(&p), words) == NULL)
        fail_msg("exit %d and \"%s\" were wanted, not %d and:\n%s", status, words, got,
                 program_output(&p));
}

static void expect(const char *arguments, int status, const char *words)
{
    program_start(&p, arguments);
    wait_for(status, words);
}

/* Trials and their tokens are those of a local run of the same study. */
static void expect_local_results(const char *run)
{
    char command[512];

    expect("run @/study.yaml --out @/local", 0, "local: manifest.json");
    snprintf(command, sizeof command,
             "for r in local %s; do grep '\"status\":\"ok\"' $r/results.jsonl | "
             "grep -o '\"trial\":[0-9]*\\|\"tokens\":[^]]*' | paste - - | sort >$r.tokens; done && "
             "[ $(wc -l <local.tokens) = 8 ] && cmp local.tokens %s.tokens",
             run, run);
    shell(command);
}

static void an_array_gives_the_results_of_a_local_run(void **state)
{
    expect("run @/study.yaml --launcher slurm --time 5 --partition near "
           "--sbatch=--mem=1G --out @/run",
           0, "run: manifest.json");
    assert_non_null(strstr(program_output(&p), "Slurm job 1 of 2 tasks"));
    shell("for w in --array=0-1%5 --partition=near --time=5 --gres=gpu:1 --mem=1G --parsable "
          "--job-name=mspeckv-slurm; do grep -qx -e $w q/calls || exit 1; done");
    shell("[ -s run/report.html ] && [ -s run/summary.csv ] && [ $(ls run/parts | wc -l) = 2 ]");
    /* One link for all parts, and its rate in the run's own manifest. */
    shell("cat run/manifest.json run/parts/*/manifest.json | grep '\"gbps\":' | sort -u >rates && "
          "[ $(wc -l <rates) = 1 ] && ! grep -q null rates");
    expect_local_results("run");
    /* Everything is there: nothing more is submitted. */
    expect("run --resume @/run --launcher slurm", 0, "8 of 8 trials are done");
    shell("[ $(cat q/last) = 1 ]");
}

static void a_task_that_dies_is_tried_again_and_then_recorded(void **state)
{
    shell("touch q/die_1");
    expect("run @/study.yaml --launcher slurm --out @/run", 1, "4 of 8 trials failed");
    assert_non_null(strstr(program_output(&p), "submitted once more"));
    shell("[ $(cat q/last) = 2 ] && grep -qx -e '--array=1%5' q/calls");
    shell("[ $(grep -c 'Slurm task 1 of job 2: NODE_FAIL: node on fire' run/results.jsonl) = 4 ]");
    shell("[ $(grep -c '\"status\":\"ok\"' run/results.jsonl) = 4 ]");
    shell("rm q/die_1");
    expect("run --resume @/run --launcher slurm", 0, "4 of 8 trials are done");
    shell("[ $(cat q/last) = 3 ]");
    expect_local_results("run");
}

static void a_watcher_that_is_killed_leaves_a_job_that_is_watched_again(void **state)
{
    shell("touch q/hold");
    program_start(&p, "run @/study.yaml --launcher slurm --out @/run");
    assert_true(program_await(&p, "run/slurm/job", "1 1", WAIT_S));
    assert_true(program_await(&p, "out", "2 waiting", WAIT_S));
    kill(p.pid, SIGKILL);
    assert_int_equal(program_wait(&p, WAIT_S), 128 + SIGKILL);

    expect("run --resume @/run", 1, "Slurm job 1 is still in the queue");
    expect("gather @/run", 1, "stopped after 0 of 8 trials");
    program_start(&p, "run --resume @/run --launcher slurm");
    assert_true(program_await(&p, "out", "goes on watching Slurm job 1", WAIT_S));
    shell("rm q/hold");
    wait_for(0, "run: manifest.json");
    shell("[ $(cat q/last) = 1 ]");
    expect_local_results("run");
}

static void what_ended_unwatched_is_gathered(void **state)
{
    shell("touch q/hold q/die_0");
    program_start(&p, "run @/study.yaml --launcher slurm --out @/run");
    assert_true(program_await(&p, "out", "2 waiting", WAIT_S));
    kill(p.pid, SIGKILL);
    assert_int_equal(program_wait(&p, WAIT_S), 128 + SIGKILL);
    shell("rm q/hold");
    assert_true(program_await(&p, "q/1/0", "NODE_FAIL", WAIT_S));
    assert_true(program_await(&p, "q/1/1", "COMPLETED", WAIT_S));

    expect("gather @/run", 1, "stopped after 4 of 8 trials");
    expect("gather @/run", 1, "stopped after 4 of 8 trials"); /* nothing stands twice */
    shell("[ $(wc -l <run/results.jsonl) = 4 ] && [ -s run/summary.json ]");
    /* The job is over, and this machine is the node: the rest runs here. */
    expect("run --resume @/run", 0, "4 of 8 trials are done");
    expect_local_results("run");
}

static void an_interrupt_cancels_the_job_and_the_run_goes_on_later(void **state)
{
    shell("touch q/hold");
    program_start(&p, "run @/study.yaml --launcher slurm --out @/run");
    assert_true(program_await(&p, "out", "2 waiting", WAIT_S));
    assert_true(program_signal(p.pid, SIGINT));
    wait_for(1, "stopped after 0 of 8 trials");
    shell("grep -qx CANCELLED q/1/0 && grep -qx CANCELLED q/1/1");
    shell("rm q/hold");
    expect("run --resume @/run --launcher slurm", 0, "run: manifest.json");
    shell("[ $(cat q/last) = 2 ]");
    expect_local_results("run");
}

static void a_silent_controller_is_asked_again(void **state)
{
    shell("touch q/hold");
    program_start(&p, "run @/study.yaml --launcher slurm --out @/run");
    assert_true(program_await(&p, "out", "2 waiting", WAIT_S));
    shell("touch q/silent");
    assert_true(program_await(&p, "out", "Unable to contact slurm controller", WAIT_S));
    shell("rm q/hold q/silent");
    wait_for(0, "run: manifest.json");
    shell("[ $(cat q/last) = 1 ]");
}

static void what_cannot_be_is_refused_by_one_line(void **state)
{
    shell("touch q/refuse");
    expect("run @/study.yaml --launcher slurm --out @/run", 1,
           "sbatch: error: Batch job submission failed: Invalid partition name");
    shell("rm -r q/refuse bin/sbatch");
    setenv("PATH", p.dir, 1);
    expect("run @/study.yaml --launcher slurm --out @/none", 1, "no program sbatch on PATH");
    setenv("PATH", old_path, 1);
    shell("[ ! -e none ]");
    expect("run @/study.yaml --partition x", 2, "--launcher slurm would be right");
    expect("run @/study.yaml --launcher slurm --time soon", 2, "'soon' is no time limit");
    expect("run @/study.yaml --launcher slurm --sbatch=--array=1", 2, "--array is set by the run");
    expect("run @/study.yaml --set slurm.at_once=0", 2, "at_once");
    expect("part @/run", 2, "--task is missing");
    expect("part @/none --task 0", 1, "No such file");
    expect("part @/run --task 2", 1, "the run has the tasks 0 to 1");
    expect("gather @/none", 1, "No such file");
    /* A part of another study is no part of this run. */
    expect("part @/run --task 0", 0, "baseline");
    shell("sed -i 's/\"gen_len\": 8/\"gen_len\": 9/' run/parts/0/manifest.json");
    expect("gather @/run", 1, "gen_len");
    shell("[ ! -s run/results.jsonl ]");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(an_array_gives_the_results_of_a_local_run),
        CASE(a_task_that_dies_is_tried_again_and_then_recorded),
        CASE(a_watcher_that_is_killed_leaves_a_job_that_is_watched_again),
        CASE(what_ended_unwatched_is_gathered),
        CASE(an_interrupt_cancels_the_job_and_the_run_goes_on_later),
        CASE(a_silent_controller_is_asked_again),
        CASE(what_cannot_be_is_refused_by_one_line),
    };
    int status;

    old_path = strdup(getenv("PATH"));
    status = cmocka_run_group_tests(tests, NULL, NULL);
    free(old_path);
    return status;
}
