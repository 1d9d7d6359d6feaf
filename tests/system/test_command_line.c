/*
 * The command line as a user meets it: what is refused, with which line and
 * exit status, and that commands give what they say.
 */
#include <ctype.h>
#include <sys/stat.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

static struct program p;
static char target[512], draft[512], other[512];
static bool has_data;

static int open_program(void **state)
{
    return program_init(&p) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

static void expect(const char *arguments, int status, const char *words)
{
    int got = program_run(&p, arguments);

    if (got != status || strstr(program_output(&p), words) == NULL)
        fail_msg("mspeckv %s: exit %d and \"%s\" were wanted, not %d and:\n%s", arguments, status,
                 words, got, program_output(&p));
}

/* Refused by one line of words. */
static void expect_line(const char *arguments, int status, const char *words)
{
    const char *out;

    expect(arguments, status, words);
    out = program_output(&p);
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void unknown_words_are_refused_with_the_nearest(void **state)
{
    expect_line("rnu", 2, "did you mean 'run'?");
    expect_line("run --ste", 2, "did you mean --set?");
    expect_line("generate --gama 3", 2, "did you mean --gamma?");
    expect_line("tokenize --tokenizer x --decod", 2, "did you mean --decode?");
    expect("frobnicate", 2, "`mspeckv help` lists them");
    expect("", 2, "usage: mspeckv COMMAND");
}

static void missing_words_are_named(void **state)
{
    expect_line("run", 2, "an experiment file is missing");
    expect_line("run x.yaml --set", 2, "--set needs a value key=value");
    expect_line("run @/none.yaml", 1, "none.yaml");
    expect_line("generate", 2, "--target is missing");
    expect_line("tokenize", 2, "--tokenizer is missing");
    expect_line("generate --target x --system y", 2, "--system is for --chat");
    expect_line("dataset demo", 2, "--tokens is missing");
    expect_line("dataset --tokens 3", 2, "which dataset is missing");
    expect_line("dataset foo --tokens 3", 2, "--target is missing");
    expect_line("dataset demo --tokens 3 --chat", 2, "--target is missing");
    expect_line("dataset foo --tokens 3 --target t --field a..b", 2, "--field is 'a..b'");
    expect_line("dataset foo --tokens 3 --target t --template none --template-file f", 2,
                "one of them would be right");
    expect_line("dataset demo --tokens 0", 2, "is not within");
}

static void out_of_range_options_are_refused(void **state)
{
    expect_line("generate --target x --gamma 33", 2, "33 is not within 1 .. 32");
    expect_line("generate --target x --temperature -1", 2, "--temperature");
    expect_line("generate --target x --top-p 0", 2, "--top-p");
    expect_line("generate --target x --prefill 0", 2, "--prefill");
    expect_line("generate --target x --kv-format f8", 2, "f32|f16|int8|int4");
    expect_line("generate --target x --method x", 2, "baseline, vanilla_specdec");
    expect_line("generate --target x --method mspeckv", 2, "needs --draft");
    expect_line("generate --target x --prompt a --prompt-file b", 2, "exclude each other");
    expect_line("generate --target @/none", 1, "none");
}

static void assert_narrow(const char *text)
{
    for (; *text != '\0'; text += strcspn(text, "\n") + 1) {
        if (strcspn(text, "\n") > 80)
            fail_msg("over 80 columns: %.120s", text);
        if (text[strcspn(text, "\n")] == '\0')
            break;
    }
}

static void help_is_the_scripts_help(void **state)
{
    char *ours, command[600], theirs[4096];
    FILE *script;
    size_t n;

    expect("help", 0, "usage: mspeckv COMMAND");
    ours = strdup(program_output(&p));
    snprintf(command, sizeof command, "%s/mspeckv help", TEST_SOURCE_DIR);
    script = popen(command, "r");
    assert_non_null(script);
    n = fread(theirs, 1, sizeof theirs - 1, script);
    theirs[n] = '\0';
    assert_int_equal(pclose(script), 0);
    assert_string_equal(ours, theirs);
    assert_narrow(ours);
    free(ours);
    expect("generate --help", 0, "--resident-layers");
    assert_narrow(program_output(&p));
    expect("run --help", 0, "--set KEY=VALUE");
    assert_narrow(program_output(&p));
    expect("report --help", 0, "--out FILE");
    assert_narrow(program_output(&p));
}

static void help_of_a_command_is_what_the_command_says(void **state)
{
    static const char *const words[] = {"run",    "generate", "report",   "part",
                                        "gather", "bench",    "tokenize", "dataset",
                                        "doctor", "synth",    "eval"};
    char arguments[64], *own;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        snprintf(arguments, sizeof arguments, "%s --help", words[i]);
        expect(arguments, 0, words[i]);
        own = strdup(program_output(&p));
        snprintf(arguments, sizeof arguments, "help %s", words[i]);
        expect(arguments, 0, "--help ");
        assert_string_equal(program_output(&p), own);
        free(own);
    }
    expect("help help", 0, "usage: mspeckv COMMAND");
    expect_line("help version", 0, "mspeckv ");
    expect_line("help rnu", 2, "unknown command 'rnu'; did you mean 'run'?");
    expect_line("help run it", 2, "unexpected argument 'it'");
    expect_line("help build", 2, "a command of the script");
}

static uint32_t count_words(const char *text)
{
    uint32_t n = 0;

    for (; *text != '\0'; text++)
        n += !isspace((unsigned char)*text) && (text[1] == '\0' || isspace((unsigned char)text[1]));
    return n;
}

static void a_demo_text_has_its_tokens_and_a_longer_one_begins_with_it(void **state)
{
    char *shorter, command[1200], ids[32768];
    FILE *pipe;
    size_t n;

    expect("dataset demo --tokens 700 --seed 5", 0, "The");
    shorter = strdup(program_output(&p));
    snprintf(command, sizeof command,
             "%s/bin/mspeckv tokenize --tokenizer %s/experiments/demo/target < %s", TEST_BUILD_DIR,
             TEST_SOURCE_DIR, p.out);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(ids, 1, sizeof ids - 1, pipe);
    ids[n] = '\0';
    assert_int_equal(pclose(pipe), 0);
    assert_int_equal(count_words(ids), 700);
    expect("dataset demo --tokens 900 --seed 5", 0, shorter);
    assert_memory_equal(program_output(&p), shorter, strlen(shorter));
    expect("dataset demo --tokens 700 --seed 6", 0, "The");
    assert_true(strcmp(program_output(&p), shorter) != 0);
    free(shorter);
}

/* The demo target counts; its special token stands in the file as text. */
static void a_prompt_of_a_study_is_printed_as_it_will_be(void **state)
{
    char words[2048], text[4096] = "";

    for (int i = 0; i < 40; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "Visitor %d <s> came at noon. ",
                 i);
    assert_true(program_write(&p, "a.jsonl", "{\"text\": \"Too short.\"}\n{\"text\": 3}\n"));
    assert_true(program_write(&p, "story.txt", text));
    assert_true(program_write(&p, "ask.txt", "Read this. {document} Now retell it."));
    snprintf(words, sizeof words,
             "dataset @/story.txt --tokens 100 --template-file %s/ask.txt --target "
             "%s/experiments/demo/target",
             p.dir, TEST_SOURCE_DIR);
    expect(words, 0, "document 1 of 1: byte 0, 100 tokens, xxh3-64:");
    assert_non_null(strstr(program_output(&p), "Read this. Visitor 0 <s> came at noon."));
    assert_non_null(strstr(program_output(&p), " Now retell it."));
    strcat(words, " --ids");
    expect(words, 0, "\n0 "); /* BOS */
    snprintf(words, sizeof words,
             "dataset @/a.jsonl --tokens 50 --target %s/experiments/demo/target", TEST_SOURCE_DIR);
    expect_line(words, 1, "a.jsonl:1: document 1 of 1 has ");
    strcat(words, " --skip-short");
    expect_line(words, 1, "a.jsonl:2: field \"text\" is a number; a text in quotes would be right");
}

static void write_study(const char *more)
{
    char text[2048];

    snprintf(text, sizeof text,
             "name: small\ntarget: %s\ndraft: %s\ndataset: demo\ndocuments: 1\nseeds: [1]\n"
             "gen_len: 8\non_chip: 0\nresident_layers: 2\nbudget: 64\ngamma: 2\n"
             "study: small\ntitle: \"Small\"\nmethods: [baseline, mspeckv_kv_quant]\n"
             "reference: baseline\nprefill: [200]\n%s",
             target, draft, more);
    assert_true(program_write(&p, "small.yaml", text));
}

static void what_cannot_run_is_refused_before_anything_starts(void **state)
{
    char words[2048];

    if (!has_data)
        skip();
    write_study("");
    expect_line("run @/small.yaml --set on_chip=6", 2, "on_chip of 0 to 5 would be right");
    expect_line("run @/small.yaml --set prefil=9", 2, "did you mean \"prefill\"?");
    assert_true(program_write(&p, "short.txt", "Too short a text.\n"));
    snprintf(words, sizeof words, "run @/small.yaml --set dataset=%s/short.txt", p.dir);
    expect_line(words, 2, "fewer than the prefill of 200");
    snprintf(words, sizeof words, "run @/small.yaml --set draft=%s", other);
    expect_line(words, 2, "they must be equal");
    assert_true(program_write(&p, "held", ""));
    expect_line("run @/small.yaml --out @/", 2, "is not empty");
    snprintf(words, sizeof words, "generate --target %s --on-chip 6", target);
    expect_line(words, 2, "0 .. 5 would be right");
    snprintf(words, sizeof words, "generate --target %s --prompt hi --prefill 9", target);
    expect_line(words, 2, "is longer than the prompt");
    assert_int_equal(program_run(&p, "run @/small.yaml --out @/run"), 0);
}

static void a_run_leaves_all_its_files_and_no_process(void **state)
{
    if (!has_data)
        skip();
    write_study("");
    program_start(&p, "run @/small.yaml --out @/run");
    assert_true(program_find(&p, "verify") > 0);
    assert_int_equal(program_wait(&p, 240), 0);
    assert_true(program_is_gone(&p));
    assert_non_null(strstr(program_output(&p), "2 trials on 1 prompt -> "));
    static const char *const files[] = {
        "run/manifest.json",    "run/results.jsonl",    "run/summary.json",   "run/summary.csv",
        "run/summary.md",       "run/logs/mspeckv.log", "run/logs/draft.log", "run/logs/verify.log",
        "run/logs/kvstore.log", "run/report.html"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_true(program_has_file(&p, files[i]));
}

static void a_report_needs_a_run_and_is_made_of_it(void **state)
{
    char path[256];

    if (!has_data)
        skip();
    assert_int_equal(program_run(&p, "report"), 2);
    assert_non_null(strstr(program_output(&p), "a run directory is missing"));
    assert_int_equal(program_run(&p, "report @/nowhere"), 1);
    assert_non_null(strstr(program_output(&p), "nowhere"));
    write_study("");
    assert_int_equal(program_run(&p, "run @/small.yaml --out @/run"), 0);
    snprintf(path, sizeof path, "%s/run/report.html", p.dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(program_run(&p, "report @/run"), 0);
    assert_true(program_has_file(&p, "run/report.html"));
    assert_int_equal(program_run(&p, "report @/run @/run"), 2);
    assert_int_equal(program_run(&p, "report @/run @/run --out @/two.html"), 0);
    assert_true(program_has_file(&p, "two.html"));
    assert_int_equal(program_run(&p, "report @/run @/run --out @/two.html"), 2);
    assert_non_null(strstr(program_output(&p), "the file exists"));
    assert_true(program_write(&p, "run/results.jsonl", "{\"trial\": 0}\n"));
    assert_int_equal(program_run(&p, "report @/run"), 1);
    assert_non_null(strstr(program_output(&p), "run/results.jsonl:1: "));
}

/* Two files of a folder inside an instruction, a third that is too short. */
static void a_study_of_a_folder_reports_each_document(void **state)
{
    char text[8192] = "", words[2048];

    if (!has_data)
        skip();
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "One day Lily went to the park with visitor %d. ", i);
    write_study("template: {file: ask.txt}\nskip_short: true\n");
    assert_true(program_write(&p, "ask.txt", "Read this. {document}\n\nNow retell it."));
    snprintf(words, sizeof words, "%s/books", p.dir);
    assert_int_equal(mkdir(words, 0700), 0);
    assert_true(program_write(&p, "books/a.txt", text));
    assert_true(program_write(&p, "books/b.txt", "Too short."));
    assert_true(program_write(&p, "books/c.txt", text + 1000));
    snprintf(words, sizeof words,
             "run @/small.yaml --out @/run --set dataset=%s/books "
             "--set documents=2",
             p.dir);
    expect(words, 0, "books, 2 documents; 1 too short, passed over");
    assert_non_null(strstr(program_output(&p), "By document (2 documents; 1 too short, passed"));
    assert_non_null(strstr(program_output(&p), "1 = a.txt, 2 = c.txt"));
    assert_true(program_await(&p, "run/results.jsonl", "\"document_name\":\"c.txt\"", 1));
    assert_true(program_await(&p, "run/manifest.json", "\"skipped\": 1", 1));
    assert_true(program_await(&p, "run/manifest.json", "\"token_hash\": \"xxh3-64:", 1));
    assert_true(program_await(&p, "run/summary.csv", ",2,\"c.txt\",1,0,0,", 1));
}

/* The array behind "tokens" in the object that is printed. */
static char *tokens_of(const char *arguments)
{
    const char *out, *end;

    expect(arguments, 0, "\"tokens\": [");
    out = strstr(program_output(&p), "\"tokens\": [");
    end = strchr(out, ']');
    assert_non_null(end);
    return strndup(out, (size_t)(end - out));
}

static void generate_gives_the_baselines_tokens_with_every_method(void **state)
{
    static const char *const more[] = {"--method vanilla_specdec", "--method mspeckv",
                                       "--method mspeckv_kv_quant --kv-format f16"};
    char words[2048], *wanted, *got;

    if (!has_data)
        skip();
    snprintf(words, sizeof words,
             "generate --target %s --json --gen-len 60 --seed 3 --acceptance coupled", target);
    wanted = tokens_of(words);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        snprintf(words, sizeof words,
                 "generate --target %s --json --gen-len 60 --seed 3 --acceptance coupled --draft "
                 "%s %s",
                 target, draft, more[i]);
        got = tokens_of(words);
        assert_string_equal(got, wanted);
        free(got);
    }
    free(wanted);
}

static void streamed_text_is_the_objects_text(void **state)
{
    char words[2048], *text, *end;

    if (!has_data)
        skip();
    snprintf(words, sizeof words, "generate --target %s --temperature 0 --gen-len 30 --prompt Lily",
             target);
    expect(words, 0, "\n");
    text = strdup(program_output(&p));
    end = strchr(text, '\n');
    *end = '\0';
    assert_true(strlen(text) > 10);
    strncat(words, " --json", sizeof words - strlen(words) - 1);
    expect(words, 0, text);
    free(text);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_program, close_program)
    const struct CMUnitTest tests[] = {
        CASE(unknown_words_are_refused_with_the_nearest),
        CASE(missing_words_are_named),
        CASE(out_of_range_options_are_refused),
        CASE(help_is_the_scripts_help),
        CASE(help_of_a_command_is_what_the_command_says),
        CASE(a_demo_text_has_its_tokens_and_a_longer_one_begins_with_it),
        CASE(a_prompt_of_a_study_is_printed_as_it_will_be),
        CASE(a_study_of_a_folder_reports_each_document),
        CASE(what_cannot_run_is_refused_before_anything_starts),
        CASE(a_run_leaves_all_its_files_and_no_process),
        CASE(a_report_needs_a_run_and_is_made_of_it),
        CASE(generate_gives_the_baselines_tokens_with_every_method),
        CASE(streamed_text_is_the_objects_text),
    };

    has_data = test_data_path(target, sizeof target, "hf-stories260K") != NULL &&
               test_data_path(draft, sizeof draft, "hf-llama2xs-300K") != NULL &&
               test_data_path(other, sizeof other, "hf-story-infinitensor") != NULL;
    if (!has_data)
        printf("the real models are not there: cases that need them are skipped\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
