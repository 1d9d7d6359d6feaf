#include "orchestrator/doctor.h"

#include "tests/orchestrator/fake_machine.h"
#include "tests/orchestrator/sample.h"

static struct fake_machine m;
static struct doctor_facts facts;
static struct doctor_list list;

static const uint64_t GIB = UINT64_C(1) << 30;

static int open_machine(void **state)
{
    fake_machine_open(&m);
    list = (struct doctor_list){.n_lines = 0};
    return 0;
}

static int close_machine(void **state)
{
    fake_machine_close(&m);
    return 0;
}

/* What only system calls tell: a machine with enough of everything. */
static void read_facts(void)
{
    doctor_facts_read(&facts, m.root);
    facts.machine.n_cpus = 16;
    facts.room.has_shm = true;
    facts.room.shm_bytes = facts.room.shm_free_bytes = 64 * GIB;
}

static const struct doctor_line *find(const char *what)
{
    for (uint32_t i = 0; i < list.n_lines; i++)
        if (strcmp(list.line[i].what, what) == 0)
            return &list.line[i];
    return NULL;
}

static void expect(const char *what, enum doctor_mark mark, const char *words, const char *remedy)
{
    const struct doctor_line *line = find(what);

    if (line == NULL)
        fail_msg("no line of %s", what);
    if (line->mark != mark || strstr(line->text, words) == NULL)
        fail_msg("%s: mark %d and \"%s\" were wanted, not %d and \"%s\"", what, mark, words,
                 line->mark, line->text);
    if (remedy == NULL)
        assert_string_equal(line->remedy, "");
    else if (strstr(line->remedy, remedy) == NULL)
        fail_msg("%s: no \"%s\" in \"%s\"", what, remedy, line->remedy);
}

static void put_gpu(const char *address, const char *width, const char *node)
{
    char path[128];
    const struct {
        const char *file, *text;
    } of[] = {{"vendor", "0x10de\n"},
              {"class", "0x030200\n"},
              {"current_link_speed", "2.5 GT/s PCIe\n"},
              {"max_link_speed", "16.0 GT/s PCIe\n"},
              {"current_link_width", width},
              {"max_link_width", "16\n"},
              {"numa_node", node}};

    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        snprintf(path, sizeof path, "sys/bus/pci/devices/%s/%s", address, of[i].file);
        fake_machine_put(&m, path, of[i].text);
    }
    snprintf(path, sizeof path, "proc/driver/nvidia/gpus/%s/information", address);
    fake_machine_put(&m, path, "Model: \t\t NVIDIA A100-PCIE-40GB\nIRQ:   \t\t 65\n");
}

static void put_server(void)
{
    fake_machine_put(&m, "proc/cpuinfo",
                     "processor\t: 0\nmodel name\t: Zen\nflags\t\t: fpu avx avx2 fma f16c\n\n"
                     "processor\t: 1\nmodel name\t: Zen\n");
    fake_machine_put(&m, "proc/meminfo",
                     "MemTotal: 134217728 kB\nMemAvailable: 125829120 kB\nHugePages_Total: 8\n");
    fake_machine_put(&m, "sys/devices/system/node/node0/meminfo",
                     "Node 0 MemTotal: 67108864 kB\nNode 0 MemFree: 1048576 kB\n");
    fake_machine_put(&m, "sys/devices/system/node/node1/meminfo",
                     "Node 1 MemTotal: 67108864 kB\nNode 1 MemFree: 60000000 kB\n");
    fake_machine_put(&m, "sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    fake_machine_put(&m, "sys/kernel/mm/transparent_hugepage/shmem_enabled",
                     "always within_size [advise] never deny force\n");
}

static void a_server_of_two_nodes_is_described(void **state)
{
    put_server();
    read_facts();
    assert_int_equal(facts.n_nodes, 2);
    assert_int_equal(facts.machine.n_nodes, 2);
    doctor_machine(&list, &facts);
    expect("cpu", DOCTOR_OK, "Zen, 16 CPUs; kernels: avx2 fma f16c", NULL);
    expect("NUMA", DOCTOR_NOTE, "2 nodes: 0 with 68.7 GB, 1 with 68.7 GB", "numa_node: N");
    expect("memory", DOCTOR_OK, "129 GB available of 137 GB", NULL);
    expect("huge pages", DOCTOR_OK, "always, shared memory advise; 8 reserved", NULL);
    expect("/dev/shm", DOCTOR_OK, "68.7 GB free of 68.7 GB; memfd allowed", NULL);
    expect("memlock", DOCTOR_OK, "any amount", NULL);
    expect("GPU", DOCTOR_OK, "none", NULL);
    assert_null(find("cgroup"));
    assert_null(find("cpu quota"));
    assert_int_equal(list.n_of[DOCTOR_PROBLEM], 0);
}

static void a_machine_that_says_nothing_is_no_problem(void **state)
{
    doctor_facts_read(&facts, m.root);
    facts.machine.n_cpus = 1;
    doctor_machine(&list, &facts);
    expect("cpu", DOCTOR_NOTE, "unknown, 1 CPU; kernels: portable", "avx2, fma and f16c");
    expect("NUMA", DOCTOR_NOTE, "does not say", NULL);
    expect("memory", DOCTOR_NOTE, "does not say", NULL);
    expect("huge pages", DOCTOR_NOTE, "does not say", NULL);
    expect("/dev/shm", DOCTOR_NOTE, "absent; memfd allowed", "arena: memfd");
    expect("GPU", DOCTOR_OK, "none", NULL);
    assert_int_equal(list.n_of[DOCTOR_PROBLEM], 0);
}

static void a_container_with_small_limits_gets_their_remedies(void **state)
{
    put_server();
    fake_machine_put(&m, "proc/self/cgroup", "0::/box\n");
    fake_machine_put(&m, "sys/fs/cgroup/box/cpu.max", "150000 100000\n");
    fake_machine_put(&m, "sys/fs/cgroup/box/memory.max", "2147483648\n");
    fake_machine_put(&m, "sys/fs/cgroup/box/memory.current", "1073741824\n");
    fake_machine_put(&m, "sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise [never]\n");
    read_facts();
    facts.room.shm_bytes = facts.room.shm_free_bytes = 64 << 20;
    doctor_machine(&list, &facts);
    expect("cpu quota", DOCTOR_NOTE, "a control group allows 1.5 of them", "threads:");
    expect("cgroup", DOCTOR_NOTE, "1.07 GB left of the control group's 2.15 GB", "memory limit");
    expect("/dev/shm", DOCTOR_NOTE, "67.1 MB free of 67.1 MB", "arena: memfd");
    expect("huge pages", DOCTOR_NOTE, "shared memory never", "shmem_enabled");
}

static void a_quota_of_version_one_is_found(void **state)
{
    fake_machine_put(&m, "proc/self/cgroup", "3:cpu,cpuacct:/box\n");
    fake_machine_put(&m, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    fake_machine_put(&m, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    read_facts();
    assert_close(facts.cpu_quota, 0, 0);
    fake_machine_put(&m, "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "400000\n");
    fake_machine_put(&m, "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    read_facts();
    assert_close(facts.cpu_quota, 4, 0);
}

static void a_gpu_on_half_its_lanes_is_noted(void **state)
{
    put_server();
    fake_machine_put(&m, "proc/driver/nvidia/version",
                     "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sat Aug 19\n");
    put_gpu("0000:01:00.0", "8\n", "0\n");
    put_gpu("0000:41:00.0", "16\n", "1\n");
    put_gpu("0000:42:00.0", "16\n", "-1\n");
    fake_machine_put(&m, "sys/bus/pci/devices/0000:00:01.0/vendor", "0x8086\n");
    fake_machine_put(&m, "sys/bus/pci/devices/0000:00:01.0/class", "0x030000\n");
    fake_machine_put(&m, "sys/bus/pci/devices/0000:03:00.0/vendor", "0x10de\n");
    fake_machine_put(&m, "sys/bus/pci/devices/0000:03:00.0/class", "0x040300\n"); /* its sound */
    read_facts();
    facts.memlock_bytes = 8 << 20;
    assert_int_equal(facts.n_gpus, 3);
    doctor_machine(&list, &facts);
    expect("GPU", DOCTOR_NOTE,
           "1 x NVIDIA A100-PCIE-40GB, driver 580.65.06, PCIe 4 x8 of x16 (15.8 of 31.5 GB/s), "
           "NUMA node 0",
           "full width");
    assert_string_equal(list.line[list.n_lines - 1].text,
                        "2 x NVIDIA A100-PCIE-40GB, driver 580.65.06, PCIe 4 x16 (31.5 GB/s), "
                        "NUMA node 1");
    expect("memlock", DOCTOR_NOTE, "8.39 MB", "ulimit -l unlimited");
}

static void a_gpu_without_a_driver_is_named_by_its_address(void **state)
{
    put_server();
    fake_machine_put(&m, "sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
    fake_machine_put(&m, "sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n");
    fake_machine_put(&m, "sys/bus/pci/devices/0000:01:00.0/max_link_speed", "Unknown\n");
    read_facts();
    doctor_machine(&list, &facts);
    expect("GPU", DOCTOR_NOTE, "1 x 0000:01:00.0, no driver, link unknown", "driver");
}

static void the_bench_is_read_strictly(void **state)
{
    struct doctor_speed speed;

    assert_true(doctor_speed_parse(&speed, "cpu:0 (2 threads, avx2): 12.50 GB/s read\n"));
    assert_string_equal(speed.device, "cpu:0 (2 threads, avx2)");
    assert_close(speed.read_gbps, 12.5, 0);
    assert_false(doctor_speed_parse(&speed, ""));
    assert_false(doctor_speed_parse(&speed, "cpu:0 (2 threads): 12.50 GB/s read"));
    assert_false(doctor_speed_parse(&speed, "cpu:0 (2 threads): nan GB/s read\n"));
    assert_false(doctor_speed_parse(&speed, "cpu:0 (2 threads): -1 GB/s read\n"));
    assert_false(doctor_speed_parse(&speed, "mspeckv-bench: no\ncpu:0 (2): 1 GB/s read\n"));
}

/* ---- a study ---- */

static struct run_plan plan_of(uint64_t arena_bytes, const char *more)
{
    char text[2048];
    struct run_plan plan = {.e = NULL};

    snprintf(text, sizeof text, "%s%s", sample_text, more);
    plan.e = sample_parse(text);
    plan.matrix = sample_matrix(plan.e, 8);
    plan.shape = (struct target_shape){
        .n_layers = 8, .n_heads = 4, .n_kv_heads = 4, .head_dim = 32, .n_vocab = 1024};
    plan.memory = (struct memory_plan){.max_prompt = 2000, .max_generated = 100};
    plan.need = (struct memory_need){.arena_bytes = arena_bytes,
                                     .posix = strcmp(plan.e->arena, "posix") == 0};
    plan.speculates = true;
    return plan;
}

static void judge(uint64_t arena_bytes, const char *more)
{
    struct run_plan plan = plan_of(arena_bytes, more);

    list = (struct doctor_list){.n_lines = 0};
    doctor_study(&list, &facts, &plan);
    run_plan_release(&plan);
}

static void a_study_that_fits_has_no_problem(void **state)
{
    put_server();
    read_facts();
    judge(GIB, "");
    expect("study", DOCTOR_OK, "sample: ", NULL);
    expect("needs", DOCTOR_OK, "arena 1.07", NULL);
    expect("arena", DOCTOR_OK, "1.07 of 68.72 GB of /dev/shm", NULL);
    assert_int_equal(list.n_of[DOCTOR_PROBLEM], 0);
}

static void a_small_dev_shm_is_a_problem_of_a_posix_arena_only(void **state)
{
    put_server();
    read_facts();
    facts.room.shm_bytes = facts.room.shm_free_bytes = 64 << 20;
    judge(GIB, "");
    expect("arena", DOCTOR_PROBLEM, "which has 0.07 GB free", "arena: memfd");
    judge(GIB, "arena: memfd\n");
    expect("arena", DOCTOR_OK, "memfd of 1.07 GB", NULL);
    facts.memfd = false;
    judge(GIB, "arena: memfd\n");
    expect("arena", DOCTOR_PROBLEM, "memfd is forbidden", "arena: posix");
    judge(GIB, "");
    expect("arena", DOCTOR_PROBLEM, "which has 0.07 GB free", "a larger /dev/shm");
}

static void a_study_larger_than_a_control_group_is_a_problem(void **state)
{
    put_server();
    read_facts();
    facts.room.limit_bytes = facts.room.limit_free_bytes = GIB / 2;
    judge(GIB, "");
    expect("needs", DOCTOR_PROBLEM, " of 0.54 GB", "a shorter prefill");
}

static void a_node_that_is_not_there_is_a_problem(void **state)
{
    put_server();
    read_facts();
    judge(2 * GIB, "numa_node: 1\n");
    expect("numa_node", DOCTOR_OK, "1, with 61.44 GB free", NULL);
    judge(2 * GIB, "numa_node: 0\n");
    expect("numa_node", DOCTOR_NOTE, "1.07 GB free", "numa_node: none");
    judge(2 * GIB, "numa_node: 2\n");
    expect("numa_node", DOCTOR_PROBLEM, "node 2 is not", "numa_node: none");
}

static void a_device_that_cannot_be_opened_is_a_problem_of_its_role(void **state)
{
    put_server();
    read_facts();
    facts.n_devices = 2;
    facts.device[0] = (struct doctor_device){
        .name = "cuda:1", .is_asked = true, .why = "device cuda:1: no such thing"};
    facts.device[1] = (struct doctor_device){.name = "cpu:0", .why = "no answer"};
    judge(GIB, "devices: {verify: cpu:0, draft: cuda:1}\nthreads: 20\n");
    expect("draft", DOCTOR_PROBLEM, "device cuda:1: no such thing", "--set devices.draft=cpu:0");
    assert_null(find("verify"));
    expect("threads", DOCTOR_NOTE, "20 for 16 CPUs", "threads: 0");
}

/* ---- the screen ---- */

static uint32_t print(char *text, size_t size, uint32_t rows)
{
    FILE *to = fmemopen(text, size, "w");
    uint32_t n = 0;

    assert_non_null(to);
    doctor_list_print(to, &list, rows);
    fclose(to);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, n++)
        assert_true(end - line <= DOCTOR_COLUMNS);
    return n;
}

static void the_worst_of_machines_fits_on_one_screen(void **state)
{
    char text[8192], address[16];

    put_server();
    fake_machine_put(&m, "proc/self/cgroup", "0::/box\n");
    fake_machine_put(&m, "sys/fs/cgroup/box/cpu.max", "150000 100000\n");
    fake_machine_put(&m, "sys/fs/cgroup/box/memory.max", "536870912\n");
    fake_machine_put(&m, "sys/kernel/mm/transparent_hugepage/shmem_enabled", "[never]\n");
    for (int i = 0; i < 8; i++) {
        snprintf(address, sizeof address, "0000:4%d:00.0", i);
        put_gpu(address, i < 4 ? "8\n" : "16\n", i < 4 ? "0\n" : "1\n");
    }
    read_facts();
    facts.room.shm_free_bytes = 64 << 20;
    facts.memlock_bytes = 64 << 10;
    facts.n_devices = 2;
    facts.device[0] = facts.device[1] =
        (struct doctor_device){.is_usable = true, .speed = {"cpu:0 (2 threads, avx2)", 20}};
    doctor_machine(&list, &facts);
    struct run_plan plan = plan_of(GIB, "numa_node: 7\nthreads: 99\n");
    doctor_study(&list, &facts, &plan);
    run_plan_release(&plan);
    assert_true(print(text, sizeof text, DOCTOR_ROWS - 2) <= DOCTOR_ROWS - 2);
    assert_non_null(strstr(text, "problem  arena"));
    assert_non_null(strstr(text, "-> arena: memfd"));
    assert_non_null(strstr(text, "-> a shorter prefill"));
    assert_null(strstr(text, "-> threads: 0")); /* a note's remedy has given way */
}

static void long_words_are_wrapped_below_themselves(void **state)
{
    char text[4096];

    doctor_list_add(&list, DOCTOR_PROBLEM, "study", "do so",
                    "one two three four five six seven eight nine ten eleven twelve thirteen");
    assert_int_equal(print(text, sizeof text, 24), 3);
    assert_string_equal(
        text, "problem  study      one two three four five six seven eight nine ten eleven\n"
              "                    twelve thirteen\n"
              "                    -> do so\n");
    doctor_list_add(&list, DOCTOR_NOTE, "x", NULL, "%0200d", 0); /* a word wider than a row */
    assert_int_equal(print(text, sizeof text, 24), 7);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_machine, close_machine)
    const struct CMUnitTest tests[] = {
        CASE(a_server_of_two_nodes_is_described),
        CASE(a_machine_that_says_nothing_is_no_problem),
        CASE(a_container_with_small_limits_gets_their_remedies),
        CASE(a_quota_of_version_one_is_found),
        CASE(a_gpu_on_half_its_lanes_is_noted),
        CASE(a_gpu_without_a_driver_is_named_by_its_address),
        CASE(the_bench_is_read_strictly),
        CASE(a_study_that_fits_has_no_problem),
        CASE(a_small_dev_shm_is_a_problem_of_a_posix_arena_only),
        CASE(a_study_larger_than_a_control_group_is_a_problem),
        CASE(a_node_that_is_not_there_is_a_problem),
        CASE(a_device_that_cannot_be_opened_is_a_problem_of_its_role),
        CASE(the_worst_of_machines_fits_on_one_screen),
        CASE(long_words_are_wrapped_below_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
