/*
 * A run by a real Slurm: slurm_node.sh makes one of a single node. Skipped where
 * Debian's packages slurmctld, slurmd, slurm-client and munge are not, or where
 * we are not root.
 */
#include <signal.h>
#include <sys/stat.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

enum { WAIT_S = 280 };

static struct program p;
static char node[32]; /* Slurm's own files */

static void shell(const char *command)
{
    char all[1024];

    snprintf(all, sizeof all, "cd '%s' && %s", p.dir, command);
    if (system(all) != 0)
        fail_msg("%s; the program said:\n%s", all, program_output(&p));
}

static int node_command(const char *word)
{
    char command[512];

    snprintf(command, sizeof command, "%s/tests/system/slurm_node.sh %s %s", TEST_SOURCE_DIR, word,
             node);
    return system(command);
}

static int open_node(void **state)
{
    char conf[64];

    strcpy(node, "/tmp/test-slurm-XXXXXX");
    if (mkdtemp(node) == NULL)
        return -1;
    snprintf(conf, sizeof conf, "%s/slurm.conf", node);
    return setenv("SLURM_CONF", conf, 1) == 0 ? node_command("start") : -1;
}

static int close_node(void **state)
{
    char command[64];
    int stopped = node_command("stop");

    snprintf(command, sizeof command, "rm -rf %s", node);
    return system(command) == 0 ? stopped : -1;
}

static int open_program(void **state)
{
    char text[1024];

    if (!program_init(&p))
        return -1;
    snprintf(text, sizeof text,
             "name: slurm\ntarget: %s/experiments/demo/target\n"
             "draft: %s/experiments/demo/draft\ndataset: demo\ndocuments: 1\nseeds: [1, 2]\n"
             "gen_len: 8\non_chip: 0\nresident_layers: 0\nbudget: 64\ngamma: 2\n"
             "warmup: false\nthreads: 1\nmethods: [baseline, mspeckv_kv_quant]\n"
             "prefill: [160, 200]\n",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR);
    return program_write(&p, "study.yaml", text) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
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

static void an_array_gives_the_results_of_a_local_run(void **state)
{
    expect("run @/study.yaml --launcher slurm --partition other --time 9 --out @/run", 0,
           "run: manifest.json");
    expect("run @/study.yaml --out @/local", 0, "local: manifest.json");
    shell("for r in local run; do grep -o '\"trial\":[0-9]*\\|\"tokens\":[^]]*' "
          "$r/results.jsonl | paste - - | sort >$r.tokens; done && "
          "[ $(wc -l <local.tokens) = 8 ] && cmp local.tokens run.tokens");
    expect("run @/study.yaml --launcher slurm --partition none --out @/bad", 1,
           "Invalid partition name");
}

static void tasks_that_die_are_tried_twice_and_recorded(void **state)
{
    char words[256];

    /* What the manifest says of the study is no more true when the tasks begin. */
    shell("cp -r $SOURCE/experiments/demo/target moved");
    snprintf(words, sizeof words,
             "run @/study.yaml --launcher slurm --set target=%s/moved --set seeds=[1] "
             "--sbatch=--begin=now+5 --out @/run",
             p.dir);
    program_start(&p, words);
    assert_true(program_await(&p, "out", "2 waiting", WAIT_S));
    shell("echo >>moved/config.json");
    wait_for(1, "4 of 4 trials failed");
    shell("[ $(grep -c ': FAILED: .*target_fingerprint is ' run/results.jsonl) = 4 ]");
}

static void an_interrupt_cancels_and_the_run_goes_on_later(void **state)
{
    /* A begin in the future keeps the job pending. */
    program_start(&p, "run @/study.yaml --launcher slurm --sbatch=--begin=now+3600 --out @/run");
    assert_true(program_await(&p, "out", "2 waiting", WAIT_S));
    assert_true(program_signal(p.pid, SIGINT));
    wait_for(1, "stopped after 0 of 8 trials");
    shell("[ -z \"$(squeue --noheader)\" ]");
    expect("run --resume @/run --launcher slurm", 0, "run: manifest.json");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(an_array_gives_the_results_of_a_local_run),
        CASE(tasks_that_die_are_tried_twice_and_recorded),
        CASE(an_interrupt_cancels_and_the_run_goes_on_later),
    };

    setenv("SOURCE", TEST_SOURCE_DIR, 1);
    if (geteuid() != 0)
        test_skip_program("a Slurm of its own needs root");
    if (system("type munged slurmctld slurmd sbatch python3 >/dev/null 2>&1") != 0)
        test_skip_program("Slurm is not installed (slurmctld, slurmd, slurm-client, munge)");
    return cmocka_run_group_tests(tests, open_node, close_node);
}
