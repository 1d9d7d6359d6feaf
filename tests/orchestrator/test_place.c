#include "orchestrator/experiment.h"
#include "tests/test_helpers.h"

#define MINIMAL "target: t\ndataset: demo\nmethods: [baseline]\nprefill: 8\n"

static struct experiment *parse(const char *text)
{
    struct experiment *e = NULL;
    struct err err = {{0}};

    if (experiment_parse(&e, "f.yaml", text, strlen(text), NULL, 0, &err) != ST_OK)
        fail_msg("%s", err.text);
    return e;
}

static void without_devices_there_is_one_place(void **state)
{
    struct experiment *e = parse(MINIMAL);

    assert_int_equal(e->n_places, 1);
    assert_int_equal(e->parallel, 1);
    assert_string_equal(e->place[0].verify, "cpu:0");
    assert_string_equal(e->place[0].draft, "cpu:0");
    assert_int_equal(cpu_list_count(&e->place[0].cpus), 0);
    assert_int_equal(e->place[0].numa_node, -1);
    experiment_free(e);
}

static void one_map_is_one_place(void **state)
{
    struct experiment *e = parse(MINIMAL "devices: {verify: cuda:1, cpus: 0-3}\nnuma_node: 1\n");

    assert_int_equal(e->n_places, 1);
    assert_string_equal(e->place[0].verify, "cuda:1");
    assert_string_equal(e->place[0].draft, "cpu:0");
    assert_int_equal(cpu_list_count(&e->place[0].cpus), 4);
    assert_int_equal(e->place[0].numa_node, 1);
    experiment_free(e);
}

static void a_list_of_places_runs_them_all_at_once(void **state)
{
    struct experiment *e = parse(MINIMAL "numa_node: 2\ndevices:\n- {cpus: \"0\", numa: 0}\n"
                                         "- {cpus: 1}\n- {cpus: 2, numa: none}\n");

    assert_int_equal(e->n_places, 3);
    assert_int_equal(e->parallel, 3);
    assert_int_equal(e->place[0].numa_node, 0);
    assert_int_equal(e->place[1].numa_node, 2); /* the file's */
    assert_int_equal(e->place[2].numa_node, -1);
    experiment_free(e);
}

static void a_smaller_parallel_takes_the_first_places(void **state)
{
    /* The third would share with the first, and does not run. */
    struct experiment *e =
        parse(MINIMAL "parallel: 2\ndevices: [{cpus: 0}, {cpus: 1}, {cpus: 0-1}]\n");

    assert_int_equal(e->parallel, 2);
    experiment_free(e);
}

static void devices_are_shared_only_when_asked(void **state)
{
    struct experiment *e = parse(MINIMAL "parallel: 4\nshare_devices: true\n");

    assert_int_equal(e->n_places, 1);
    assert_int_equal(e->parallel, 4);
    experiment_free(e);
}

static const struct refusal {
    const char *text, *words;
} refusals[] = {
    {MINIMAL "parallel: 2\n", "f.yaml:5:11: parallel is 2 and devices has 1 place; 1, more places, "
                              "or share_devices: true would be right"},
    {MINIMAL "parallel: 3\ndevices: [{cpus: 0}, {cpus: 1}]\n",
     "f.yaml:5:11: parallel is 3 and devices has 2 places; 1 to 2, more places, or share_devices: "
     "true would be right"},
    {MINIMAL "parallel: 0\n",
     "f.yaml:5:11: parallel is 0; a whole number from 1 to 16 would be right"},
    {MINIMAL "devices:\n- {verify: cuda:0, draft: cuda:0}\n- {verify: cuda:1, draft: cuda:0}\n",
     "f.yaml:7:3: places 1 and 2 would run at once and share cuda:0; another device, parallel: 1, "
     "or share_devices: true would be right"},
    {MINIMAL "devices:\n- {cpus: 0}\n- {cpus: 1}\n- {cpus: 1-2}\n",
     "f.yaml:8:3: places 2 and 3 would run at once and share CPUs; cpus that do not overlap, "
     "parallel: 2, or share_devices: true would be right"},
    /* Another number is no other CPU. */
    {MINIMAL "devices:\n- {verify: cpu:0, draft: cpu:0}\n- {verify: cpu:1, draft: cpu:1}\n",
     "f.yaml:7:3: places 1 and 2 would run at once and share CPUs; cpus that do not overlap, "
     "parallel: 1, or share_devices: true would be right"},
    {MINIMAL "devices: []\n", "f.yaml:5:10: devices lists 0 places; 1 to 16 would be right"},
    {MINIMAL "devices: [cpu:0]\n", "f.yaml:5:11: devices is one value; a mapping would be right"},
    {MINIMAL "devices: {cpu: 0}\n",
     "f.yaml:5:11: unknown key \"cpu\" in devices; \"cpus\" would be right"},
    {MINIMAL "devices: {cpus: 3-1}\n",
     "f.yaml:5:17: cpus: \"3-1\" is no set of CPUs; numbers and ranges below 1024 as 0-3,8 would "
     "be right"},
    {MINIMAL "devices: {cpus: [0]}\n", "f.yaml:5:17: cpus is a list; one value would be right"},
    {MINIMAL "devices: {numa: -1}\n",
     "f.yaml:5:17: numa is -1; a whole number from 0 to 1023 would be right"},
    {MINIMAL "share_devices: 1\n", "f.yaml:5:16: share_devices is 1; true or false would be right"},
};

static void every_refusal_names_its_place_and_what_would_be_right(void **state)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct experiment *e = NULL;
        struct err err = {{0}};
        const char *text = refusals[i].text;
        assert_int_equal(experiment_parse(&e, "f.yaml", text, strlen(text), NULL, 0, &err),
                         ST_INVALID);
        assert_string_equal(err.text, refusals[i].words);
    }
}

static struct place place_of(const char *verify, const char *draft, const char *cpus)
{
    struct place p = {.numa_node = -1};

    snprintf(p.verify, sizeof p.verify, "%s", verify);
    snprintf(p.draft, sizeof p.draft, "%s", draft);
    if (cpus != NULL)
        assert_int_equal(cpu_list_parse(&p.cpus, cpus, NULL), ST_OK);
    return p;
}

static void a_draft_on_the_others_target_is_shared(void **state)
{
    struct place a = place_of("cuda:0", "cuda:1", NULL), b = place_of("cuda:1", "cuda:2", NULL);
    struct place c = place_of("cuda:2", "cpu:0", NULL), d = place_of("cuda:3", "cpu:5", NULL);

    assert_string_equal(place_shared_device(&a, &b), "cuda:1");
    assert_string_equal(place_shared_device(&b, &a), "cuda:1");
    assert_null(place_shared_device(&a, &c));
    assert_string_equal(place_shared_device(&c, &d), "cpu:5");
}

static void cpu_sets_make_cpu_places_disjoint(void **state)
{
    struct place a = place_of("cpu:0", "cpu:0", "0-1"), b = place_of("cpu:0", "cpu:0", "2-3");
    struct place all = place_of("cpu:0", "cpu:0", NULL);
    /* Threads of a GPU's place on the same CPUs are not its device. */
    struct place gpu = place_of("cuda:0", "cuda:0", "0-3");

    assert_null(place_shared_device(&a, &b));
    assert_string_equal(place_shared_device(&a, &all), "cpu:0");
    assert_null(place_shared_device(&a, &gpu));
}

static void a_cpu_that_this_process_may_not_use_is_refused(void **state)
{
    struct place absent = place_of("cpu:0", "cpu:0", "1023"),
                 any = place_of("cpu:0", "cpu:0", NULL);
    struct err err = {{0}};

    absent.cpus_at = strdup("f.yaml:9:8");
    assert_int_equal(place_check(&any, &err), ST_OK);
    assert_int_equal(place_check(&absent, &err), ST_INVALID);
    assert_non_null(
        strstr(err.text, "f.yaml:9:8: cpus names CPU 1023, which this process may not"));
    place_release(&absent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_devices_there_is_one_place),
        cmocka_unit_test(one_map_is_one_place),
        cmocka_unit_test(a_list_of_places_runs_them_all_at_once),
        cmocka_unit_test(a_smaller_parallel_takes_the_first_places),
        cmocka_unit_test(devices_are_shared_only_when_asked),
        cmocka_unit_test(every_refusal_names_its_place_and_what_would_be_right),
        cmocka_unit_test(a_draft_on_the_others_target_is_shared),
        cmocka_unit_test(cpu_sets_make_cpu_places_disjoint),
        cmocka_unit_test(a_cpu_that_this_process_may_not_use_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
