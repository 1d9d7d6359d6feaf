#include "tests/test_helpers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/proc.h"

enum { PATIENCE_MS = 60000 }; /* for what happens at once on a machine that is not busy */

static char dir[] = "/tmp/test-proc-XXXXXX";
static char log_path[64];

static enum status run_shell(struct proc *p, const char *script)
{
    char *const argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};

    return proc_spawn(p, "shell", argv, log_path, NULL);
}

static void wait_end(struct proc *p, char *how, size_t size)
{
    struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};

    assert_int_equal(poll(&ended, 1, PATIENCE_MS), 1);
    assert_true(proc_has_ended(p, how, size));
    assert_int_equal(p->pid, 0);
    assert_int_equal(p->pidfd, -1);
}

static void read_log(char *buf, size_t size)
{
    FILE *f = fopen(log_path, "r");
    size_t n = f != NULL ? fread(buf, 1, size - 1, f) : 0;

    buf[n] = '\0';
    if (f != NULL)
        fclose(f);
    unlink(log_path);
}

static void test_exit_status_and_signal_are_told_apart(void **state)
{
    struct proc p;
    char how[64];

    assert_int_equal(run_shell(&p, "exit 3"), ST_OK);
    wait_end(&p, how, sizeof how);
    assert_string_equal(how, "exit status 3");
    assert_int_equal(run_shell(&p, "kill -9 $$"), ST_OK);
    wait_end(&p, how, sizeof how);
    assert_non_null(strstr(how, "killed by signal 9"));
    assert_true(proc_has_ended(&p, how, sizeof how));
    unlink(log_path);
}

static void test_a_running_child_has_not_ended(void **state)
{
    struct proc p;
    char how[64];

    assert_int_equal(run_shell(&p, "exec sleep 1000"), ST_OK);
    assert_false(proc_has_ended(&p, how, sizeof how));
    proc_stop(&p, 5000);
    assert_int_equal(p.pid, 0);
    proc_stop(&p, 5000);
    unlink(log_path);
}

static void test_streams_go_to_the_log_and_stdin_is_empty(void **state)
{
    struct proc p;
    char how[64], text[200];

    assert_int_equal(run_shell(&p, "echo out; echo err >&2; cat; echo end"), ST_OK);
    wait_end(&p, how, sizeof how);
    assert_int_equal(run_shell(&p, "echo appended"), ST_OK);
    wait_end(&p, how, sizeof how);
    read_log(text, sizeof text);
    assert_string_equal(text, "out\nerr\nend\nappended\n");
}

static void test_a_program_that_cannot_run_is_reported_by_spawn(void **state)
{
    char *const argv[] = {(char *)"/nonexistent/program", NULL};
    struct proc p = {.pidfd = -1};
    struct err err = {{0}};

    assert_int_equal(proc_spawn(&p, "worker", argv, log_path, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "starting worker: run /nonexistent/program"));
    assert_int_equal(p.pid, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
    assert_int_equal(proc_spawn(&p, "worker", argv, "/nonexistent/log", &err), ST_IO);
    unlink(log_path);
}

static void test_descriptors_signals_and_masks_do_not_reach_the_child(void **state)
{
    struct proc p;
    char how[64], text[400];
    sigset_t set, old;
    int fd = fcntl(open("/dev/null", O_RDONLY | O_CLOEXEC), F_DUPFD_CLOEXEC, 50);

    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, &old);
    assert_int_equal(run_shell(&p, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status"), ST_OK);
    sigprocmask(SIG_SETMASK, &old, NULL);
    wait_end(&p, how, sizeof how);
    read_log(text, sizeof text);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
    assert_int_equal(run_shell(&p, "test ! -e /proc/self/fd/50"), ST_OK);
    wait_end(&p, how, sizeof how);
    assert_string_equal(how, "exit status 0");
    close(fd);
    unlink(log_path);
}

/* Waits until the child has written something. */
static void await_log(void)
{
    int c = EOF;

    for (int i = 0; i < PATIENCE_MS / 10 && c == EOF; i++) {
        FILE *f = fopen(log_path, "r");
        c = f != NULL ? fgetc(f) : EOF;
        if (f != NULL)
            fclose(f);
        clock_sleep_until(clock_now_ns() + 10 * 1000000u);
    }
    assert_true(c != EOF);
}

static void test_stop_asks_first(void **state)
{
    struct proc p;
    char text[100];
    uint64_t start = clock_now_ns();

    assert_int_equal(run_shell(&p, "trap 'echo asked; exit 0' TERM; echo up; "
                                   "while :; do sleep 0.05; done"),
                     ST_OK);
    await_log();
    proc_stop(&p, PATIENCE_MS);
    read_log(text, sizeof text);
    assert_string_equal(text, "up\nasked\n");
    assert_true(clock_seconds_since(start) < PATIENCE_MS / 1e3);
}

static void test_stop_kills_what_does_not_listen(void **state)
{
    struct proc p;
    uint64_t start;

    assert_int_equal(run_shell(&p, "trap '' TERM; echo up; while :; do sleep 0.05; done"), ST_OK);
    await_log();
    start = clock_now_ns();
    proc_stop(&p, 200);
    assert_true(clock_seconds_since(start) >= 0.2);
    assert_true(clock_seconds_since(start) < PATIENCE_MS / 1e3);
    unlink(log_path);
}

/* True once `pid`, which is not our child, is gone or a zombie. */
static bool is_gone(pid_t pid)
{
    char path[64], text[512], *end;
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (f == NULL)
        return true;
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    end = strrchr(text, ')');
    return end == NULL || end[2] == 'Z' || end[2] == 'X';
}

static void test_children_of_a_killed_parent_are_stopped(void **state)
{
    int report[2];
    pid_t parent, child = 0;
    bool gone = false;

    assert_int_equal(pipe(report), 0);
    parent = fork();
    if (parent == 0) {
        struct proc p;
        if (run_shell(&p, "exec sleep 1000") != ST_OK ||
            write(report[1], &p.pid, sizeof p.pid) != sizeof p.pid)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(report[0], &child, sizeof child), sizeof child);
    assert_false(is_gone(child));
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    for (int i = 0; i < PATIENCE_MS / 10 && !gone; i++) {
        gone = is_gone(child);
        clock_sleep_until(clock_now_ns() + 10 * 1000000u);
    }
    assert_true(gone);
    close(report[0]);
    close(report[1]);
    unlink(log_path);
}

/* In a child, since it changes the signals of the whole process. */
static void stop_in_child(bool by_parent, int ready_fd, int done_fd)
{
    struct pollfd stop = {.events = POLLIN};
    char byte = 1;

    if (proc_stop_fd() != -1 || proc_init(by_parent, NULL) != ST_OK || proc_stop_requested())
        _exit(1);
    raise(SIGPIPE);
    stop.fd = proc_stop_fd();
    if (poll(&stop, 1, 0) != 0 || write(ready_fd, &byte, 1) != 1)
        _exit(1);
    while (poll(&stop, 1, PATIENCE_MS) < 0)
        continue;
    byte = (char)(proc_stop_requested() && (stop.revents & POLLIN) ? proc_stop_count() : 0);
    if (write(done_fd, &byte, 1) != 1)
        _exit(1);
    _exit(0);
}

static void test_sigterm_sigint_and_sighup_ask_for_a_stop(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

    for (int i = 0; i < 3; i++) {
        int ready[2], done[2];
        char byte = 0;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(done), 0);
        pid = fork();
        if (pid == 0)
            stop_in_child(false, ready[1], done[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        kill(pid, signals[i]);
        assert_int_equal(read(done[0], &byte, 1), 1);
        assert_int_equal(byte, 1);
        waitpid(pid, NULL, 0);
        for (int k = 0; k < 2; k++) {
            close(ready[k]);
            close(done[k]);
        }
    }
}

static void test_a_hangup_that_nohup_ignores_stays_ignored(void **state)
{
    pid_t pid = fork();
    int how;

    if (pid == 0) {
        signal(SIGHUP, SIG_IGN);
        if (proc_init(false, NULL) != ST_OK)
            _exit(1);
        raise(SIGHUP);
        _exit(proc_stop_requested() ? 2 : 0);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void test_a_process_that_dies_with_its_parent_is_asked_to_stop(void **state)
{
    int ready[2], done[2];
    char byte = 0;
    pid_t parent;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    parent = fork();
    if (parent == 0) {
        if (fork() == 0)
            stop_in_child(true, ready[1], done[1]);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    assert_int_equal(read(done[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
}

static void test_the_own_directory_holds_this_program(void **state)
{
    char text[512], small[4];

    assert_int_equal(proc_self_dir(text, sizeof text, NULL), ST_OK);
    strcat(text, "/common_test_proc");
    assert_int_equal(access(text, X_OK), 0);
    assert_int_equal(proc_self_dir(small, sizeof small, NULL), ST_INVALID);
}

static void test_a_long_log_path_is_kept_whole(void **state)
{
    char base[] = "/tmp/test_proc_XXXXXX", part[256], inner[300], path[330], how[64];
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)"exit 0", NULL};
    struct proc p;

    assert_non_null(mkdtemp(base));
    memset(part, 'd', 250);
    part[250] = '\0';
    snprintf(inner, sizeof inner, "%s/%s", base, part);
    snprintf(path, sizeof path, "%s/shell.log", inner);
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(proc_spawn(&p, "shell", argv, path, NULL), ST_OK);
    assert_string_equal(p.log_path, path);
    proc_stop(&p, 5000);
    assert_true(proc_has_ended(&p, how, sizeof how));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(inner), 0);
    assert_int_equal(rmdir(base), 0);
}

static void test_the_exit_report_is_one_line_and_the_right_status(void **state)
{
    struct err err = {{0}};
    char text[100] = {0};
    int saved = dup(STDERR_FILENO);
    FILE *f = tmpfile();

    err_set(&err, ST_IO, "open x: no");
    dup2(fileno(f), STDERR_FILENO);
    int failed = exit_report("prog", EXIT_RUNTIME, ST_IO, &err);
    int done = exit_report("prog", EXIT_RUNTIME, ST_OK, &err);
    int usage = exit_report("prog", EXIT_USAGE, ST_INVALID, NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_string_equal(text, "prog: open x: no\nprog: invalid argument or option\n");
    assert_int_equal(failed, 1);
    assert_int_equal(done, 0);
    assert_int_equal(usage, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_status_and_signal_are_told_apart),
        cmocka_unit_test(test_a_running_child_has_not_ended),
        cmocka_unit_test(test_streams_go_to_the_log_and_stdin_is_empty),
        cmocka_unit_test(test_a_program_that_cannot_run_is_reported_by_spawn),
        cmocka_unit_test(test_descriptors_signals_and_masks_do_not_reach_the_child),
        cmocka_unit_test(test_stop_asks_first),
        cmocka_unit_test(test_stop_kills_what_does_not_listen),
        cmocka_unit_test(test_children_of_a_killed_parent_are_stopped),
        cmocka_unit_test(test_sigterm_sigint_and_sighup_ask_for_a_stop),
        cmocka_unit_test(test_a_hangup_that_nohup_ignores_stays_ignored),
        cmocka_unit_test(test_a_process_that_dies_with_its_parent_is_asked_to_stop),
        cmocka_unit_test(test_the_own_directory_holds_this_program),
        cmocka_unit_test(test_a_long_log_path_is_kept_whole),
        cmocka_unit_test(test_the_exit_report_is_one_line_and_the_right_status),
    };
    int n_failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(dir) != 0 || n_failed != 0;
}
