#include "tests/test_helpers.h"

#include "common/args.h"

struct settings {
    bool verbose;
    const char *dir;
    int64_t gamma;
    double top_p;
    int method;
    bool gamma_given;
    const char *item[2];
    struct args_rest rest;
    struct err err;
};

enum { MAX_WORDS = 12, N_SPECS = 5 };

static void make_specs(struct settings *s, struct arg_spec spec[N_SPECS])
{
    *s = (struct settings){.gamma = 8, .top_p = 0.9, .method = 1};
    s->rest = (struct args_rest){.item = s->item, .max_items = 2};
    spec[0] = (struct arg_spec){
        .name = "verbose", .kind = ARG_FLAG, .out = &s->verbose, .help = "say more"};
    spec[1] = (struct arg_spec){
        .name = "out", .kind = ARG_STRING, .out = &s->dir, .value = "DIR", .help = "results"};
    spec[2] = (struct arg_spec){.name = "gamma",
                                .kind = ARG_INT,
                                .out = &s->gamma,
                                .given = &s->gamma_given,
                                .min = 1,
                                .max = 32,
                                .value = "N",
                                .help = "tokens proposed to the target in one round of the "
                                        "decoding, between one and thirty-two"};
    spec[3] = (struct arg_spec){
        .name = "top-p", .kind = ARG_REAL, .out = &s->top_p, .max = 1, .value = "P", .help = "p"};
    spec[4] = (struct arg_spec){.name = "method",
                                .kind = ARG_CHOICE,
                                .out = &s->method,
                                .choices = "baseline|mspeckv|mspeckv_kv_quant",
                                .help = "how to decode"};
}

/* Parses a line of words separated by blanks. */
static enum status parse(struct settings *s, const char *line)
{
    static char words[256];
    char *argv[MAX_WORDS] = {(char *)"program"};
    struct arg_spec spec[N_SPECS];
    char *save = NULL;
    int argc = 1;

    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    make_specs(s, spec);
    return args_parse(spec, N_SPECS, argc, argv, &s->rest, &s->err);
}

static void assert_refused(const char *line, const char *words)
{
    struct settings s;

    if (parse(&s, line) != ST_INVALID)
        fail_msg("accepted: %s", line);
    if (strstr(s.err.text, words) == NULL)
        fail_msg("'%s' says '%s' without '%s'", line, s.err.text, words);
}

static void test_every_kind_is_read_in_both_forms(void **state)
{
    struct settings s;

    assert_int_equal(parse(&s, "--verbose --out /a/b --gamma 3 --top-p=0.5 --method=mspeckv one"),
                     ST_OK);
    assert_true(s.verbose && s.gamma_given);
    assert_string_equal(s.dir, "/a/b");
    assert_int_equal(s.gamma, 3);
    assert_close(s.top_p, 0.5, 0);
    assert_int_equal(s.method, 1);
    assert_int_equal(s.rest.n_items, 1);
    assert_string_equal(s.item[0], "one");
    assert_int_equal(parse(&s, "--method mspeckv_kv_quant --out=x=y"), ST_OK);
    assert_int_equal(s.method, 2);
    assert_string_equal(s.dir, "x=y");
}

static void test_absent_options_keep_their_defaults(void **state)
{
    struct settings s;

    assert_int_equal(parse(&s, ""), ST_OK);
    assert_true(!s.verbose && !s.gamma_given && s.dir == NULL);
    assert_int_equal(s.gamma, 8);
    assert_close(s.top_p, 0.9, 0);
    assert_int_equal(s.method, 1);
    assert_int_equal(s.rest.n_items, 0);
}

static void test_wrong_lines_are_refused_and_say_what_would_be_right(void **state)
{
    assert_refused("--gama 3", "did you mean --gamma");
    assert_refused("--hepl", "did you mean --help");
    assert_refused("--frobnicate-everything", "--help lists them");
    assert_refused("-g 3", "options start with --");
    assert_refused("--gamma", "--gamma needs a value N");
    assert_refused("--out --verbose", "--out needs a value DIR");
    assert_refused("--verbose=1", "takes no value");
    assert_refused("--gamma 0", "not within 1 .. 32");
    assert_refused("--gamma 33", "not within 1 .. 32");
    assert_refused("--gamma 3x", "not a whole number");
    assert_refused("--gamma=", "not a whole number");
    assert_refused("--gamma 1.5", "not a whole number");
    assert_refused("--top-p nan", "not a number");
    assert_refused("--top-p 0x1", "not a number");
    assert_refused("--top-p 1.01", "not within 0 .. 1");
    assert_refused("--method base", "baseline|mspeckv|mspeckv_kv_quant");
    assert_refused("--gamma 3 --gamma 4", "stands twice");
    assert_refused("a b c", "'c'");
}

static void test_words_after_two_dashes_are_never_options(void **state)
{
    struct settings s;

    assert_int_equal(parse(&s, "-- --gamma --help"), ST_OK);
    assert_int_equal(s.rest.n_items, 2);
    assert_string_equal(s.item[0], "--gamma");
    assert_int_equal(s.gamma, 8);
}

static void test_help_wins_over_mistakes_and_leaves_the_defaults(void **state)
{
    struct settings s;

    assert_int_equal(parse(&s, "--gamma 3 --nonsense --help"), ST_CLOSED);
    assert_int_equal(s.gamma, 8);
}

static void test_arguments_without_a_place_are_refused(void **state)
{
    char *argv[] = {(char *)"program", (char *)"stray"};
    struct err err = {{0}};

    assert_int_equal(args_parse(NULL, 0, 2, argv, NULL, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "stray"));
}

static void test_help_fits_eighty_columns_and_names_every_option(void **state)
{
    struct settings s;
    struct arg_spec spec[N_SPECS];
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    make_specs(&s, spec);
    args_help(to, "prog", "[options] FILE", spec, N_SPECS);
    fclose(to);
    assert_memory_equal(text, "usage: prog [options] FILE\n\noptions:\n", 37);
    assert_non_null(strstr(text, "--gamma N "));
    assert_non_null(strstr(text, "(default 8)"));
    assert_non_null(strstr(text, "(default mspeckv)"));
    assert_non_null(strstr(text, "--help"));
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80);
    free(text);
}

static void test_help_gives_no_default_that_the_option_would_refuse(void **state)
{
    int64_t layers = 0, tokens = 1;
    double theta = 0;
    const struct arg_spec spec[] = {
        {"layers", ARG_INT, &layers, NULL, 1, 256, NULL, "N", "of the shape if absent"},
        {"theta", ARG_REAL, &theta, NULL, 1.001, 1e15, NULL, "X", "10000 if absent"},
        {"tokens", ARG_INT, &tokens, NULL, 1, 256, NULL, "N", "how many"},
    };
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    args_help(to, "prog", "", spec, 3);
    fclose(to);
    assert_null(strstr(text, "(default 0)"));
    assert_non_null(strstr(text, "how many (default 1)\n"));
    free(text);
}

static void test_scalars_are_strict_up_to_their_ends(void **state)
{
    int64_t i = 7;
    double d = 7;

    assert_int_equal(args_int("-9223372036854775808", INT64_MIN, INT64_MAX, &i, NULL), ST_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(args_int("9223372036854775808", INT64_MIN, INT64_MAX, &i, NULL), ST_INVALID);
    assert_int_equal(args_int(" 1", 0, 9, &i, NULL), ST_INVALID);
    assert_int_equal(args_int("+1", 0, 9, &i, NULL), ST_INVALID);
    assert_int_equal(args_int("", 0, 9, &i, NULL), ST_INVALID);
    assert_int_equal(args_int("-", -9, 9, &i, NULL), ST_INVALID);
    assert_int_equal(args_real("1e-3", 0, 1, &d, NULL), ST_OK);
    assert_close(d, 1e-3, 0);
    assert_int_equal(args_real("1e999", 0, INFINITY, &d, NULL), ST_INVALID);
    assert_int_equal(args_real("inf", 0, INFINITY, &d, NULL), ST_INVALID);
    assert_int_equal(args_real("e", 0, 1, &d, NULL), ST_INVALID);
    assert_int_equal(args_real("1 ", 0, 1, &d, NULL), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_read_in_both_forms),
        cmocka_unit_test(test_absent_options_keep_their_defaults),
        cmocka_unit_test(test_wrong_lines_are_refused_and_say_what_would_be_right),
        cmocka_unit_test(test_words_after_two_dashes_are_never_options),
        cmocka_unit_test(test_help_wins_over_mistakes_and_leaves_the_defaults),
        cmocka_unit_test(test_arguments_without_a_place_are_refused),
        cmocka_unit_test(test_help_fits_eighty_columns_and_names_every_option),
        cmocka_unit_test(test_help_gives_no_default_that_the_option_would_refuse),
        cmocka_unit_test(test_scalars_are_strict_up_to_their_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
