#include "orchestrator/run_lock.h"

#include <sys/wait.h>

#include "tests/test_helpers.h"

static char dir[64];

static int make_dir(void **state)
{
    strcpy(dir, "/tmp/test_run_lock_XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int drop_dir(void **state)
{
    char path[128];

    snprintf(path, sizeof path, "%s/lock", dir);
    unlink(path);
    return rmdir(dir);
}

/* What another process is answered; its words must name this one. */
static enum status ask_in_a_child(void)
{
    pid_t pid = fork();
    int how;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct run_lock lock = {.fd = 0};
        struct err err = {{0}};
        char words[64];
        enum status st = run_lock_take(&lock, dir, &err);
        snprintf(words, sizeof words, "process %d is at work in it", (int)getppid());
        if (st == ST_STALE && strstr(err.text, words) == NULL)
            _exit(ST_COUNT);
        _exit((int)st);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    return (enum status)WEXITSTATUS(how);
}

static void another_process_is_refused_until_it_is_given_back(void **state)
{
    struct run_lock lock = {.fd = 0};
    struct err err = {{0}};

    assert_int_equal(run_lock_take(&lock, dir, &err), ST_OK);
    assert_int_equal(ask_in_a_child(), ST_STALE);
    run_lock_give(&lock);
    assert_int_equal(ask_in_a_child(), ST_OK);
    /* The child held it and has ended without giving it back. */
    assert_int_equal(run_lock_take(&lock, dir, &err), ST_OK);
    run_lock_give(&lock);
    run_lock_give(&lock);
}

/* As the janitor does, which outlives this process for a moment. */
static void a_fork_that_lives_on_holds_nothing(void **state)
{
    struct run_lock lock = {.fd = 0};
    struct err err = {{0}};
    int hold[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(hold), 0);
    assert_int_equal(run_lock_take(&lock, dir, &err), ST_OK);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1); /* until the end of the test */
    }
    run_lock_give(&lock);
    assert_int_equal(ask_in_a_child(), ST_OK);
    close(hold[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(hold[0]);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct run_lock lock = {.fd = 0};
    struct err err = {{0}};

    assert_int_equal(run_lock_take(&lock, "/nonexistent", &err), ST_IO);
    assert_non_null(strstr(err.text, "/nonexistent/lock"));
    assert_int_equal(lock.fd, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)
    const struct CMUnitTest tests[] = {
        CASE(another_process_is_refused_until_it_is_given_back),
        CASE(a_fork_that_lives_on_holds_nothing),
        CASE(a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
