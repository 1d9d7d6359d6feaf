#include "tests/test_helpers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/rundir.h"

static char base[] = "/tmp/test-rundir-XXXXXX";

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void make_file(const char *dir, const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_true(exists(path));
}

static void copy_path(char out[108], const struct rundir *dir)
{
    snprintf(out, 108, "%s", rundir_path(dir));
}

/* A child that makes (path NULL) or joins a directory, says so, and waits to
 * be killed. Its path is read into `out`. */
static pid_t start_holder(const char *path, char out[108])
{
    struct rundir *dir = NULL;
    int pipe_fd[2];
    pid_t pid;

    assert_int_equal(pipe(pipe_fd), 0);
    pid = fork();
    if (pid == 0) {
        enum status st = path != NULL ? rundir_join(&dir, path, NULL) : rundir_create(&dir, NULL);
        char text[108] = {0};
        if (st == ST_OK)
            copy_path(text, dir);
        if (write(pipe_fd[1], text, sizeof text) != sizeof text)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipe_fd[1]);
    assert_int_equal(read(pipe_fd[0], out, 108), 108);
    close(pipe_fd[0]);
    assert_true(out[0] == '/');
    return pid;
}

static void kill_holder(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_the_directory_is_private_and_goes_with_its_only_holder(void **state)
{
    struct rundir *dir = NULL;
    char path[108], socket[108];
    struct stat st;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    copy_path(path, dir);
    assert_memory_equal(path, base, strlen(base));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    rundir_socket(dir, "store.sock", socket);
    assert_string_equal(socket + strlen(path), "/store.sock");
    make_file(path, "store.sock");
    rundir_leave(dir);
    assert_false(exists(path));
}

static void test_the_last_one_out_removes_it_and_nobody_before(void **state)
{
    struct rundir *first = NULL, *second = NULL;
    char path[108];

    assert_int_equal(rundir_create(&first, NULL), ST_OK);
    copy_path(path, first);
    assert_int_equal(rundir_join(&second, path, NULL), ST_OK);
    make_file(path, "a");
    rundir_leave(first);
    assert_true(exists(path));
    rundir_leave(second);
    assert_false(exists(path));
}

static void test_a_killed_peer_does_not_keep_the_directory(void **state)
{
    struct rundir *dir = NULL;
    char path[108], joined[108];
    pid_t pid;

    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    copy_path(path, dir);
    pid = start_holder(path, joined);
    kill_holder(pid);
    rundir_leave(dir);
    assert_false(exists(path));
}

static void test_directories_of_killed_runs_are_swept_and_living_ones_are_not(void **state)
{
    char dead[108], alive[108], path[108];
    pid_t dead_pid = start_holder(NULL, dead);
    pid_t alive_pid = start_holder(NULL, alive);
    struct rundir *dir = NULL;

    make_file(dead, "door");
    kill_holder(dead_pid);
    assert_true(exists(dead));
    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    assert_false(exists(dead));
    assert_true(exists(alive));
    kill_holder(alive_pid);
    copy_path(path, dir);
    rundir_leave(dir);
    assert_false(exists(path));
    assert_int_equal(rundir_create(&dir, NULL), ST_OK); /* sweeps `alive`, now dead */
    assert_false(exists(alive));
    rundir_leave(dir);
}

static void test_a_link_inside_is_removed_and_its_target_is_not(void **state)
{
    struct rundir *dir = NULL;
    char target[108], link[216];

    snprintf(target, sizeof target, "%s/precious", base);
    make_file(base, "precious");
    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    snprintf(link, sizeof link, "%s/link", rundir_path(dir));
    assert_int_equal(symlink(target, link), 0);
    rundir_leave(dir);
    assert_false(exists(link));
    assert_true(exists(target));
    unlink(target);
}

/* Each of these has our prefix, but something that is not ours: a mode that
 * lets others in, a link, and a name that is longer than ours. */
static void test_the_sweep_leaves_foreign_things_alone(void **state)
{
    char open_dir[64], open_lock[108], link[64], other[64], other_lock[108], longer[64];
    struct rundir *dir = NULL;

    snprintf(longer, sizeof longer, "%s/mspeckv-longer0", base);
    assert_int_equal(mkdir(longer, 0700), 0);

    snprintf(open_dir, sizeof open_dir, "%s/mspeckv-open00", base);
    snprintf(open_lock, sizeof open_lock, "%s/lock", open_dir);
    snprintf(link, sizeof link, "%s/mspeckv-link00", base);
    snprintf(other, sizeof other, "%s/other", base);
    snprintf(other_lock, sizeof other_lock, "%s/lock", other);
    assert_int_equal(mkdir(open_dir, 0755), 0);
    make_file(open_dir, "lock");
    assert_int_equal(mkdir(other, 0700), 0);
    make_file(other, "lock");
    assert_int_equal(symlink(other, link), 0);
    assert_int_equal(rundir_create(&dir, NULL), ST_OK);
    rundir_leave(dir);
    /* Each of these fails where the sweep was there before. */
    assert_int_equal(unlink(open_lock), 0);
    assert_int_equal(rmdir(open_dir), 0);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(other_lock), 0);
    assert_int_equal(rmdir(other), 0);
    assert_int_equal(rmdir(longer), 0);
}

static void test_joining_what_is_not_a_run_directory_is_refused(void **state)
{
    struct rundir *dir = NULL;
    struct err err = {{0}};
    char path[200];

    snprintf(path, sizeof path, "%s/missing", base);
    assert_int_equal(rundir_join(&dir, path, &err), ST_NOT_FOUND);
    assert_int_equal(rundir_join(&dir, "relative", &err), ST_INVALID);
    snprintf(path, sizeof path, "%s/plain", base);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(rundir_join(&dir, path, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "no lock file"));
    assert_int_equal(chmod(path, 0750), 0);
    assert_int_equal(rundir_join(&dir, path, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "0700"));
    rmdir(path);
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[120] = '\0';
    assert_int_equal(rundir_join(&dir, path, &err), ST_INVALID);
    assert_null(dir);
}

static void leave_often(const char *path)
{
    for (int i = 0; i < 200; i++) {
        struct rundir *dir = NULL;
        if (path == NULL ? rundir_create(&dir, NULL) != ST_OK
                         : rundir_join(&dir, path, NULL) != ST_OK)
            _exit(1);
        rundir_leave(dir);
    }
    _exit(0);
}

/* Starts sweep while others start: no run may lose its directory. */
static void test_many_starts_at_once_never_sweep_each_other(void **state)
{
    pid_t pid[4];
    int status;

    for (int i = 0; i < 4; i++) {
        pid[i] = fork();
        if (pid[i] == 0)
            leave_often(NULL);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
}

static void test_several_that_leave_at_once_leave_nothing_behind(void **state)
{
    for (int round = 0; round < 20; round++) {
        char path[108], joined[108];
        pid_t pid[3];
        struct rundir *dir = NULL;
        int go[2];

        assert_int_equal(rundir_create(&dir, NULL), ST_OK);
        copy_path(path, dir);
        assert_int_equal(pipe(go), 0);
        for (int i = 0; i < 3; i++) {
            int joined_fd[2];
            assert_int_equal(pipe(joined_fd), 0);
            pid[i] = fork();
            if (pid[i] == 0) {
                struct rundir *mine = NULL;
                char byte = rundir_join(&mine, path, NULL) == ST_OK;
                if (write(joined_fd[1], &byte, 1) != 1)
                    _exit(1);
                close(go[1]);
                if (read(go[0], &byte, 1) != 0)
                    _exit(1);
                rundir_leave(mine);
                _exit(0);
            }
            assert_int_equal(read(joined_fd[0], joined, 1), 1);
            assert_int_equal(joined[0], 1);
            close(joined_fd[0]);
            close(joined_fd[1]);
        }
        close(go[1]); /* end-of-file starts them all */
        rundir_leave(dir);
        for (int i = 0; i < 3; i++)
            waitpid(pid[i], NULL, 0);
        close(go[0]);
        assert_false(exists(path));
    }
}

static void test_a_base_that_is_too_long_or_foreign_falls_back_to_tmp(void **state)
{
    static const char *const bad[] = {"/tmp/a-directory-name-that-is-far-too-long-for-any-socket",
                                      "relative", "/nonexistent"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rundir *dir = NULL;
        setenv("XDG_RUNTIME_DIR", bad[i], 1);
        assert_int_equal(rundir_create(&dir, NULL), ST_OK);
        assert_memory_equal(rundir_path(dir), "/tmp/mspeckv-", 13);
        rundir_leave(dir);
    }
    setenv("XDG_RUNTIME_DIR", base, 1);
}

static void test_the_cluster_job_is_read_from_its_variable(void **state)
{
    unsetenv("SLURM_JOB_ID");
    assert_null(rundir_job_id());
    setenv("SLURM_JOB_ID", "", 1);
    assert_null(rundir_job_id());
    setenv("SLURM_JOB_ID", "4711", 1);
    assert_string_equal(rundir_job_id(), "4711");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_directory_is_private_and_goes_with_its_only_holder),
        cmocka_unit_test(test_the_last_one_out_removes_it_and_nobody_before),
        cmocka_unit_test(test_a_killed_peer_does_not_keep_the_directory),
        cmocka_unit_test(test_directories_of_killed_runs_are_swept_and_living_ones_are_not),
        cmocka_unit_test(test_a_link_inside_is_removed_and_its_target_is_not),
        cmocka_unit_test(test_the_sweep_leaves_foreign_things_alone),
        cmocka_unit_test(test_joining_what_is_not_a_run_directory_is_refused),
        cmocka_unit_test(test_many_starts_at_once_never_sweep_each_other),
        cmocka_unit_test(test_several_that_leave_at_once_leave_nothing_behind),
        cmocka_unit_test(test_a_base_that_is_too_long_or_foreign_falls_back_to_tmp),
        cmocka_unit_test(test_the_cluster_job_is_read_from_its_variable),
    };
    int n_failed;

    if (mkdtemp(base) == NULL || setenv("XDG_RUNTIME_DIR", base, 1) != 0)
        return 1;
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(base) != 0 || n_failed != 0; /* fails if anything was left */
}
