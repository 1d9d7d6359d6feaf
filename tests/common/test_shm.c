#include "tests/test_helpers.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/shm.h"

enum { MIB = 1024 * 1024 };

static const enum shm_kind kinds[] = {SHM_POSIX, SHM_MEMFD};

static struct shm_args args_of(enum shm_kind kind, size_t size_bytes)
{
    return (struct shm_args){.kind = kind, .size_bytes = size_bytes, .numa_node = -1};
}

static int count_names(void)
{
    DIR *list = opendir("/dev/shm");
    struct dirent *entry;
    int n = 0;

    while (list != NULL && (entry = readdir(list)) != NULL)
        n += strncmp(entry->d_name, "mspeckv-", 8) == 0;
    if (list != NULL)
        closedir(list);
    return n;
}

static void test_both_kinds_give_zeroed_memory_rounded_up_and_without_a_name(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        struct shm_args args = args_of(kinds[i], 3 * MIB);
        struct shm shm = {0};
        struct stat file;
        int n_names = count_names();

        args.prefault = i == 0;
        assert_int_equal(shm_create(&shm, &args, NULL), ST_OK);
        assert_int_equal(shm.size_bytes, 4 * MIB);
        assert_int_equal(fstat(shm.fd, &file), 0);
        assert_int_equal(file.st_size, 4 * MIB);
        assert_true(file.st_blocks * 512 >= 4 * MIB); /* allocated, not only sized */
        assert_int_equal(count_names(), n_names);
        assert_true(fcntl(shm.fd, F_GETFD) & FD_CLOEXEC);
        for (size_t at = 0; at < shm.size_bytes; at += 4096)
            assert_int_equal(((char *)shm.base)[at], 0);
        shm_release(&shm);
        assert_int_equal(shm.fd, -1);
        shm_release(&shm);
    }
}

static void test_another_process_sees_the_same_bytes_and_may_die(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        struct shm_args args = args_of(kinds[i], MIB);
        struct shm shm = {0};
        pid_t pid;

        assert_int_equal(shm_create(&shm, &args, NULL), ST_OK);
        ((char *)shm.base)[5] = 42;
        pid = fork();
        if (pid == 0) {
            struct shm peer = {0};
            if (shm_attach(&peer, dup(shm.fd), shm.size_bytes, NULL) != ST_OK)
                _exit(2);
            ((char *)peer.base)[6] = ((char *)peer.base)[5];
            raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(((char *)shm.base)[6], 42);
        shm_release(&shm);
    }
}

static void test_a_file_shorter_than_announced_is_refused_and_closed(void **state)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    struct shm shm = {.fd = -1};
    struct err err = {{0}};

    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(shm_attach(&shm, fd, 8192, &err), ST_CORRUPT);
    assert_non_null(strstr(err.text, "4096"));
    assert_non_null(strstr(err.text, "8192"));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_not_equal(shm_attach(&shm, -1, 4096, &err), ST_OK);
}

static void test_a_memfd_arena_cannot_shrink_under_its_readers(void **state)
{
    struct shm_args args = args_of(SHM_MEMFD, MIB);
    struct shm shm = {0};

    assert_int_equal(shm_create(&shm, &args, NULL), ST_OK);
    assert_int_equal(ftruncate(shm.fd, 0), -1);
    shm_release(&shm);
}

static void test_more_than_there_is_is_no_space_and_names_the_remedy(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        struct shm_args args = args_of(kinds[i], (size_t)1 << 46);
        struct shm shm = {.fd = -1};
        struct err err = {{0}};

        assert_int_equal(shm_create(&shm, &args, &err), ST_NO_SPACE);
        assert_non_null(strstr(err.text, "ask for less"));
        assert_int_equal(shm.fd, -1);
    }
}

static void test_a_size_of_zero_is_refused(void **state)
{
    struct shm_args args = args_of(SHM_POSIX, 0);
    struct shm shm = {.fd = -1};

    assert_int_equal(shm_create(&shm, &args, NULL), ST_INVALID);
}

static void test_a_node_is_honoured_or_refused_never_ignored(void **state)
{
    struct shm_args args = args_of(SHM_POSIX, 2 * MIB);
    struct shm shm = {.fd = -1};
    struct err err = {{0}};
    enum status st;

    args.numa_node = 1000;
    assert_int_equal(shm_create(&shm, &args, &err), ST_UNSUPPORTED);
    assert_non_null(strstr(err.text, "node 1000"));
    args.numa_node = 0;
    st = shm_create(&shm, &args, &err);
    if (st == ST_UNSUPPORTED) {
        print_message("this machine binds no memory: %s\n", err.text);
        return;
    }
    assert_int_equal(st, ST_OK);
    double share = shm_node_share(&shm, args.numa_node, 100);
    assert_true(share == 1.0 || share == -1.0);
    if (share == 1.0)
        assert_close(shm_node_share(&shm, args.numa_node + 1, 100), 0.0, 0);
    shm_release(&shm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_kinds_give_zeroed_memory_rounded_up_and_without_a_name),
        cmocka_unit_test(test_another_process_sees_the_same_bytes_and_may_die),
        cmocka_unit_test(test_a_file_shorter_than_announced_is_refused_and_closed),
        cmocka_unit_test(test_a_memfd_arena_cannot_shrink_under_its_readers),
        cmocka_unit_test(test_more_than_there_is_is_no_space_and_names_the_remedy),
        cmocka_unit_test(test_a_size_of_zero_is_refused),
        cmocka_unit_test(test_a_node_is_honoured_or_refused_never_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
