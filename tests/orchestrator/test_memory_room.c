#include "orchestrator/memory_room.h"

#include "orchestrator/system_file.h"
#include "tests/orchestrator/fake_machine.h"

static struct fake_machine m;

static int open_machine(void **state)
{
    fake_machine_open(&m);
    return 0;
}

static int close_machine(void **state)
{
    fake_machine_close(&m);
    return 0;
}

static const uint64_t MIB = 1 << 20;

static void a_machine_without_limits_has_what_is_available(void **state)
{
    struct memory_room room;

    fake_machine_put(&m, "proc/meminfo", "MemTotal: 2048 kB\nMemAvailable:    1024 kB\n");
    fake_machine_put(&m, "proc/self/cgroup", "0::/a/b\n");
    fake_machine_put(&m, "sys/fs/cgroup/a/b/memory.max", "max\n");
    memory_room_read(&room, m.root);
    assert_int_equal(room.total_bytes, 2 * MIB);
    assert_int_equal(memory_room_free(&room), MIB);
    assert_true(room.limit_bytes == UINT64_MAX);
    assert_false(room.has_shm);
}

static void a_machine_that_says_nothing_limits_nothing(void **state)
{
    struct memory_room room;

    memory_room_read(&room, m.root);
    assert_true(memory_room_free(&room) == UINT64_MAX);
    fake_machine_put(&m, "proc/meminfo", "MemAvailable: lots\nMemTotal: 99999999999999999999 kB\n");
    fake_machine_put(&m, "proc/self/cgroup", "0::/../../etc\n4:memory\n5\n::::\n");
    memory_room_read(&room, m.root);
    assert_true(memory_room_free(&room) == UINT64_MAX);
}

static void the_tightest_group_above_counts_and_file_cache_does_not(void **state)
{
    struct memory_room room;

    fake_machine_put(&m, "proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n");
    fake_machine_put(&m, "proc/self/cgroup", "0::/a/b\n");
    fake_machine_put(&m, "sys/fs/cgroup/a/b/memory.max", "max\n");
    fake_machine_put(&m, "sys/fs/cgroup/a/memory.max", "1073741824\n");
    fake_machine_put(&m, "sys/fs/cgroup/a/memory.current", "734003200\n");
    fake_machine_put(&m, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 104857600\nx 2\n");
    memory_room_read(&room, m.root);
    assert_int_equal(room.limit_bytes, 1024 * MIB);
    assert_int_equal(memory_room_free(&room), (1024 - 700 + 100) * MIB);
}

static void groups_of_version_one_are_found_by_their_controller(void **state)
{
    struct memory_room room;

    fake_machine_put(&m, "proc/meminfo", "MemAvailable: 8000000 kB\n");
    fake_machine_put(&m, "proc/self/cgroup",
                     "11:cpu,cpuacct:/x\n10:memoryish:/wrong\n4:memory:/box\n0::/\n");
    fake_machine_put(&m, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    fake_machine_put(&m, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "104857600\n");
    fake_machine_put(&m, "sys/fs/cgroup/memory/box/memory.usage_in_bytes", "209715200\n");
    fake_machine_put(&m, "sys/fs/cgroup/memory/box/memory.stat", "total_inactive_file 0\n");
    fake_machine_put(&m, "sys/fs/cgroup/memory/wrong/memory.limit_in_bytes", "1\n");
    memory_room_read(&room, m.root);
    assert_int_equal(room.limit_bytes, 100 * MIB);
    assert_int_equal(memory_room_free(&room), 0);
}

/* A container that sees the host's path and its own group as the mount's top. */
static void a_path_that_is_not_there_gives_the_top_of_the_mount(void **state)
{
    struct memory_room room;

    fake_machine_put(&m, "proc/self/cgroup", "4:memory:/docker/0123\n");
    fake_machine_put(&m, "sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n");
    memory_room_read(&room, m.root);
    assert_int_equal(memory_room_free(&room), 100 * MIB);
}

static void files_of_the_kernel_are_read_strictly(void **state)
{
    char word[16];
    uint64_t x = 7;

    fake_machine_put(&m, "a", "always [madvise] never\n");
    assert_true(system_file_choice(m.root, "a", word, sizeof word));
    assert_string_equal(word, "madvise");
    assert_false(system_file_number(m.root, "a", &x));
    fake_machine_put(&m, "a", "12 \nKey\t:  3 kB\nKeyword: 4\n");
    assert_true(system_file_number(m.root, "a", &x));
    assert_int_equal(x, 12);
    assert_true(system_file_bytes(m.root, "a", "Key", &x));
    assert_int_equal(x, 3072);
    assert_false(system_file_bytes(m.root, "a", "Ke", &x));
    assert_false(system_file_line(m.root, "none", word, sizeof word));
    fake_machine_put(&m, "a", "a \033[31m line that is long\n");
    assert_true(system_file_line(m.root, "a", word, sizeof word));
    assert_string_equal(word, "a ?[31m line th");
    fake_machine_put(&m, "a", "\n");
    assert_false(system_file_line(m.root, "a", word, sizeof word));
    assert_false(system_file_choice(m.root, "a", word, sizeof word));
    fake_machine_put(&m, "a", "18446744073709551616\n");
    assert_false(system_file_number(m.root, "a", &x));
    assert_int_equal(x, 3072);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_machine, close_machine)
    const struct CMUnitTest tests[] = {
        CASE(a_machine_without_limits_has_what_is_available),
        CASE(a_machine_that_says_nothing_limits_nothing),
        CASE(the_tightest_group_above_counts_and_file_cache_does_not),
        CASE(groups_of_version_one_are_found_by_their_controller),
        CASE(a_path_that_is_not_there_gives_the_top_of_the_mount),
        CASE(files_of_the_kernel_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
