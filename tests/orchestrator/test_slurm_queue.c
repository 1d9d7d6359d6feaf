/*
 * What is asked of Slurm's programs, and what is read out of their answers.
 * The programs are scripts in front of PATH that print what a case says.
 */
#include "tests/test_helpers.h"

#include <sys/stat.h>

#include "orchestrator/experiment.h"
#include "orchestrator/slurm_queue.h"
#include "tests/orchestrator/sample.h"

static char dir[32];

static int make_dir(void **state)
{
    static char *path;

    if (path == NULL)
        path = strdup(getenv("PATH"));
    strcpy(dir, "/tmp/test-slurm-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    char *all = NULL;
    assert_true(asprintf(&all, "%s:%s", dir, path) > 0);
    setenv("PATH", all, 1);
    free(all);
    return 0;
}

static int remove_dir(void **state)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void write_program(const char *name, const char *script)
{
    char path[64];
    FILE *to;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    to = fopen(path, "w");
    assert_non_null(to);
    fprintf(to, "#!/bin/sh\nprintf '%%s\\n' \"$@\" >%s/words\n%s\n", dir, script);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void expect_called_with(const char *words)
{
    char path[64], text[2048];
    FILE *from;
    size_t n;

    snprintf(path, sizeof path, "%s/words", dir);
    from = fopen(path, "r");
    assert_non_null(from);
    n = fread(text, 1, sizeof text - 1, from);
    text[n] = '\0';
    fclose(from);
    assert_string_equal(text, words);
}

static void expect_ranges(const uint32_t *task, uint32_t n, const char *words)
{
    char *text = slurm_queue_ranges(task, n);

    assert_string_equal(text, words);
    free(text);
}

static void tasks_are_named_by_ranges(void **state)
{
    static const uint32_t task[] = {0, 1, 2, 5, 7, 8};

    expect_ranges(task, 6, "0-2,5,7-8");
    expect_ranges(task, 1, "0");
    expect_ranges(task + 3, 1, "5");
    expect_ranges(task + 4, 2, "7-8");
}

static void only_a_job_number_is_taken_for_one(void **state)
{
    char job[SLURM_JOB_TEXT];

    assert_true(slurm_queue_parse_job(job, "1234\n"));
    assert_string_equal(job, "1234");
    assert_true(slurm_queue_parse_job(job, "77;cluster\n"));
    assert_string_equal(job, "77");
    assert_false(slurm_queue_parse_job(job, "Submitted batch job 12\n"));
    assert_false(slurm_queue_parse_job(job, ""));
    assert_false(slurm_queue_parse_job(job, "12 --all\n"));
    assert_false(slurm_queue_parse_job(job, "123456789012345678901234567890123\n"));
}

static void an_array_is_submitted_with_every_option(void **state)
{
    static const uint32_t task[] = {0, 2, 3};
    struct slurm_options o = {.at_once = 2};
    struct slurm_array array = {.options = &o,
                                .name = "mspeckv-a1",
                                .folder = "/runs/50% a/slurm",
                                .script = "/runs/50% a/slurm/part.sh",
                                .task = task,
                                .n_tasks = 3};
    char job[SLURM_JOB_TEXT];
    struct err err = {{0}};

    assert_int_equal(slurm_options_partition(&o, "gpu", &err), ST_OK);
    assert_int_equal(slurm_options_time(&o, "1-0", &err), ST_OK);
    assert_int_equal(slurm_options_add(&o, "--mem=8G", &err), ST_OK);
    write_program("sbatch", "echo 'sbatch: a warning' >&2; echo 41");
    assert_int_equal(slurm_queue_submit(job, &array, &err), ST_OK);
    assert_string_equal(job, "41");
    expect_called_with("--parsable\n--job-name=mspeckv-a1\n--array=0,2-3%2\n"
                       "--chdir=/runs/50% a/slurm\n--output=%A_%a.log\n--partition=gpu\n"
                       "--time=1-0\n--mem=8G\n/runs/50% a/slurm/part.sh\n");
    write_program("sbatch", "echo nonsense");
    assert_int_equal(slurm_queue_submit(job, &array, &err), ST_CORRUPT);
    assert_string_equal(err.text, "sbatch: 'nonsense' where the number of a job was expected");
    slurm_options_release(&o);
}

static void states_are_read_by_task(void **state)
{
    struct slurm_task task[6] = {{.is_alive = true}};
    struct err err = {{0}};

    /* Task 3 was requeued: it stands twice. 9 is none of ours. */
    write_program("squeue", "printf '0 PENDING\\n1 RUNNING\\n2 COMPLETING\\n3 NODE_FAIL\\n"
                            "3 RUNNING\\n4 TIMEOUT\\n9 RUNNING\\nN/A PENDING\\n-1 RUNNING\\n"
                            "x\\n'");
    assert_int_equal(slurm_queue_ask("41", task, 6, &err), ST_OK);
    expect_called_with("--noheader\n--array\n--states=all\n--format=%K %T\n--jobs=41\n");
    assert_true(task[0].is_alive && !task[0].is_running);
    assert_true(task[1].is_running && task[2].is_alive && task[3].is_running);
    assert_false(task[4].is_alive || task[5].is_alive);
    assert_true(slurm_queue_has_ended(&task[4]) && !slurm_queue_has_ended(&task[5]));
    assert_string_equal(task[4].state, "TIMEOUT");
}

static void a_job_that_slurm_has_forgotten_is_asked_of_accounting(void **state)
{
    struct slurm_task task[4] = {{.is_alive = true, .is_running = true, .state = "RUNNING"},
                                 {.state = ""}};
    struct err err = {{0}};

    write_program("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
    write_program("sacct", "printf '41_0|OUT_OF_MEMORY\\n41_1|CANCELLED by 0\\n41_2|RUNNING\\n"
                           "41_[3-5]|PENDING\\n41_99|FAILED\\n41|FAILED\\n|\\n'");
    assert_int_equal(slurm_queue_ask("41", task, 4, &err), ST_OK);
    assert_false(task[0].is_alive || slurm_queue_has_ended(&task[0]));
    slurm_queue_ask_ended("41", task, 4);
    assert_string_equal(task[0].state, "OUT_OF_MEMORY");
    assert_string_equal(task[1].state, "CANCELLED");
    assert_string_equal(task[2].state, "");
    assert_string_equal(task[3].state, "");
    write_program("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1");
    slurm_queue_ask_ended("41", task, 4);
    assert_string_equal(task[0].state, "OUT_OF_MEMORY");
}

static void no_answer_is_an_error_and_changes_nothing(void **state)
{
    struct slurm_task task[1] = {{.is_alive = true, .is_running = true, .state = "RUNNING"}};
    struct err err = {{0}};

    write_program("squeue", "echo 'slurm_load_jobs error: Socket timed out' >&2; exit 1");
    assert_int_equal(slurm_queue_ask("41", task, 1, &err), ST_IO);
    assert_string_equal(err.text, "squeue: slurm_load_jobs error: Socket timed out");
    assert_true(task[0].is_running);
}

static void refuse_file(const char *slurm, const char *words)
{
    char text[512];
    struct experiment *e = NULL;
    struct err err = {{0}};

    snprintf(text, sizeof text, "target: t\ndataset: demo\nprefill: 9\nslurm: %s\n", slurm);
    assert_int_equal(experiment_parse(&e, "s.yaml", text, strlen(text), NULL, 0, &err), ST_INVALID);
    if (strncmp(err.text, "s.yaml:4:", 9) != 0 || strstr(err.text, words) == NULL)
        fail_msg("%s: %s", slurm, err.text);
}

static void a_file_says_what_is_asked_of_slurm(void **state)
{
    struct experiment *e =
        sample_parse("target: t\ndataset: demo\nprefill: 9\nmethods: [baseline]\nslurm:\n"
                     "  partition: gpu\n  time: 2:00:00\n  at_once: 4\n"
                     "  sbatch: [--gres=gpu:1, --exclusive]\n");

    assert_string_equal(e->slurm.partition, "gpu");
    assert_string_equal(e->slurm.time_limit, "2:00:00");
    assert_int_equal(e->slurm.at_once, 4);
    assert_int_equal(e->slurm.n_args, 2);
    assert_string_equal(e->slurm.arg[1], "--exclusive");
    experiment_free(e);
    refuse_file("{partitoin: x}", "\"partition\" would be right");
    refuse_file("{partition: -x}", "a name as sinfo shows it");
    refuse_file("{time: 1:2:3:4}", "is no time limit");
    refuse_file("{time: 1-2-3}", "is no time limit");
    refuse_file("{time: 5m}", "is no time limit");
    refuse_file("{at_once: 0}", "at_once");
    refuse_file("{sbatch: --mem=1G}", "sbatch");
    refuse_file("{sbatch: [mem]}", "is no long option of sbatch");
    refuse_file("{sbatch: [--array=0-9]}", "--array is set by the run itself");
    refuse_file("{sbatch: [--output]}", "--output is set by the run itself");
    refuse_file("far", "slurm");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        CASE(tasks_are_named_by_ranges),
        CASE(only_a_job_number_is_taken_for_one),
        CASE(an_array_is_submitted_with_every_option),
        CASE(states_are_read_by_task),
        CASE(a_job_that_slurm_has_forgotten_is_asked_of_accounting),
        CASE(no_answer_is_an_error_and_changes_nothing),
        CASE(a_file_says_what_is_asked_of_slurm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
