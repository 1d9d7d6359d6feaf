/* Files that are shortened while they are mapped, each in a process of its own. */
#include "tests/test_helpers.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/map_guard.h"
#include "common/pool.h"

enum { PAGE = 4096, N_PAGES = 3 };

static char path[] = "/tmp/test-map-guard-XXXXXX";

/* The file with all its pages, mapped. */
static const uint8_t *map_file(void)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *map;

    if (fd < 0 || ftruncate(fd, 0) != 0 || ftruncate(fd, N_PAGES * PAGE) != 0)
        _exit(90);
    map = mmap(NULL, N_PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        _exit(91);
    return map;
}

static void read_last_page(const void *map)
{
    volatile uint8_t sink = ((const volatile uint8_t *)map)[(N_PAGES - 1) * PAGE + 7];

    (void)sink;
}

/* ---- what children do: no return means that the signal ended them ---- */

static void read_shortened(void)
{
    const uint8_t *map = map_file();

    map_guard_add(map, N_PAGES * PAGE, path);
    if (truncate(path, PAGE) == 0)
        read_last_page(map);
}

/* The caller never comes back, so the pool's own thread has the other task. */
static void read_in_the_other_thread(void *map, int task, int thread)
{
    while (thread == 0)
        pause();
    read_last_page(map);
}

static void read_shortened_in_a_thread_of_a_pool(void)
{
    const uint8_t *map = map_file();
    struct pool *pool = NULL;

    map_guard_add(map, N_PAGES * PAGE, path);
    if (truncate(path, PAGE) == 0 && pool_open(&pool, 2, NULL, NULL) == ST_OK)
        pool_run(pool, 2, read_in_the_other_thread, (void *)(uintptr_t)map);
}

static void read_what_is_still_there(void)
{
    const uint8_t *map = map_file();

    map_guard_add(map, N_PAGES * PAGE, path);
    if (truncate(path, (N_PAGES - 1) * PAGE + 8) == 0)
        read_last_page(map);
}

static void read_shortened_beside_a_guarded_one(void)
{
    const uint8_t *other = map_file(), *map = map_file();

    map_guard_add(other, N_PAGES * PAGE, "/other");
    map_guard_add(map, N_PAGES * PAGE, path);
    map_guard_remove(map);
    map_guard_remove(NULL);
    if (truncate(path, PAGE) == 0)
        read_last_page(map);
}

static void raise_it(void)
{
    map_guard_add(map_file(), N_PAGES * PAGE, path);
    raise(SIGBUS);
    raise(SIGBUS);
}

/* Status of waitpid; what it wrote to stderr. */
static int run(void (*child)(void), char *words, size_t size)
{
    int out[2], status = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGBUS, SIG_DFL); /* not a sanitizer's */
        dup2(out[1], STDERR_FILENO);
        if (map_guard_init("reader", NULL) != ST_OK)
            _exit(92);
        child();
        _exit(0);
    }
    close(out[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    n = read(out[0], words, size - 1);
    words[n > 0 ? n : 0] = '\0';
    close(out[0]);
    return status;
}

static void a_read_past_the_new_end_is_one_line_and_status_1(void **state)
{
    void (*const child[])(void) = {read_shortened, read_shortened_in_a_thread_of_a_pool};
    char words[1200], start[128];

    for (int i = 0; i < 2; i++) {
        int status = run(child[i], words, sizeof words);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        snprintf(start, sizeof start, "reader: %s: the file was shortened", path);
        assert_ptr_equal(strstr(words, start), words);
        assert_ptr_equal(strchr(words, '\n'), words + strlen(words) - 1);
    }
}

static void a_read_within_the_file_is_none_of_its_business(void **state)
{
    char words[1200];

    assert_int_equal(run(read_what_is_still_there, words, sizeof words), 0);
    assert_string_equal(words, "");
}

static void any_other_bus_error_kills_as_before(void **state)
{
    void (*const child[])(void) = {read_shortened_beside_a_guarded_one, raise_it};
    char words[1200];

    for (int i = 0; i < 2; i++) {
        int status = run(child[i], words, sizeof words);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGBUS);
        assert_string_equal(words, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_past_the_new_end_is_one_line_and_status_1),
        cmocka_unit_test(a_read_within_the_file_is_none_of_its_business),
        cmocka_unit_test(any_other_bus_error_kills_as_before),
    };
    int fd = mkstemp(path), n_failed;

    if (fd < 0)
        return 1;
    close(fd);
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return unlink(path) != 0 || n_failed != 0;
}
