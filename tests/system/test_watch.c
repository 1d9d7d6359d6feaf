/*
 * What a run shows: the view on a terminal, lines elsewhere, nothing with
 * --quiet, events with --json-progress. With workers that only talk.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <jansson.h>

#include "tests/system/program.h"
#include "tests/test_helpers.h"

#define FAKE TEST_BUILD_DIR "/fake/mspeckv"

enum { N_TRIALS = 12, MAX_BYTES = 1 << 20, WAIT_MS = 120000, SCREEN_LINES = 2000, COLUMNS = 80 };

static struct program p;
static char text[MAX_BYTES + 1]; /* what came from the terminal */
static size_t n_text;

static int open_program(void **state)
{
    char study[1024];

    if (!program_init(&p))
        return -1;
    p.path = FAKE;
    n_text = 0;
    text[0] = '\0';
    snprintf(study, sizeof study,
             "name: shown\ntarget: %s/experiments/demo/target\ndraft: %s/experiments/demo/draft\n"
             "dataset: demo\ndocuments: 1\nseeds: [1, 2, 3]\ngen_len: 8\non_chip: 0\nbudget: 64\n"
             "gamma: 2\nwarmup: false\nmethods: [baseline, vanilla_specdec]\nprefill: [64, 96]\n"
             "devices:\n- {verify: cuda:0, draft: cuda:0}\n- {verify: cuda:1, draft: cuda:1}\n",
             TEST_SOURCE_DIR, TEST_SOURCE_DIR);
    return program_write(&p, "study.yaml", study) ? 0 : -1;
}

static int close_program(void **state)
{
    program_close(&p);
    return 0;
}

/* ---- a terminal ---- */

static pid_t start_on_terminal(int *terminal)
{
    const struct winsize size = {.ws_row = 24, .ws_col = COLUMNS};
    char study[96], out[96];
    pid_t pid;

    snprintf(study, sizeof study, "%s/study.yaml", p.dir);
    snprintf(out, sizeof out, "%s/run", p.dir);
    pid = forkpty(terminal, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(FAKE, FAKE, "run", study, "--out", out, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Reads until `words` came, or to the end where it is NULL. */
static void read_until(int terminal, const char *words)
{
    struct pollfd ready = {.fd = terminal, .events = POLLIN};

    while (words == NULL || strstr(text, words) == NULL) {
        ssize_t n =
            poll(&ready, 1, WAIT_MS) > 0 ? read(terminal, text + n_text, MAX_BYTES - n_text) : -1;
        if (n <= 0)
            break; /* EIO: the other side is closed */
        n_text += (size_t)n;
        text[n_text] = '\0';
    }
    if (words != NULL && strstr(text, words) == NULL)
        fail_msg("no \"%s\" in:\n%s", words, text);
}

static uint32_t count_of(const char *in, const char *words)
{
    uint32_t n = 0;

    for (const char *at = in; (at = strstr(at, words)) != NULL; at++)
        n++;
    return n;
}

static const char *last_of(const char *words)
{
    const char *last = NULL;

    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        last = at;
    return last;
}

/* Whatever came last was written whole, and it shows the cursor. */
static void assert_cursor_is_shown(void)
{
    assert_true(count_of(text, "\033[?25l") > 0);
    assert_int_equal(count_of(text, "\033[?25l"), count_of(text, "\033[?25h"));
    assert_true(last_of("\033[?25h") > last_of("\033[?25l"));
}

static char screen[SCREEN_LINES][COLUMNS + 1];

/* One sequence behind ESC [; returns what follows it. */
static const char *obey(const char *at, uint32_t *row, uint32_t *column)
{
    bool is_private = *at == '?';
    uint32_t n = (uint32_t)strtoul(at + is_private, (char **)(uintptr_t)&at, 10);

    if (*at == 'A') {
        assert_true(n > 0 && n <= *row); /* never above what the run wrote */
        *row -= n;
    } else if (*at == 'K' || *at == 'J') {
        memset(screen[*row] + *column, 0, COLUMNS - *column);
        for (uint32_t r = *row + 1; *at == 'J' && r < SCREEN_LINES; r++)
            memset(screen[r], 0, COLUMNS);
    } else if (!is_private) {
        fail_msg("an unknown sequence: ESC [ %u %c", n, *at);
    }
    return at + 1;
}

/* What stands on an endless terminal in the end. */
static void play(void)
{
    uint32_t row = 0, column = 0;

    memset(screen, 0, sizeof screen);
    for (const char *at = text; *at != '\0';) {
        if (at[0] == '\033' && at[1] == '[') {
            at = obey(at + 2, &row, &column);
            continue;
        }
        if (*at == '\r') {
            column = 0;
        } else if (*at == '\n') {
            row++;
            assert_true(row < SCREEN_LINES);
        } else if (column < COLUMNS) {
            screen[row][column++] = *at;
        }
        at++;
    }
}

static uint32_t lines_with(const char *words)
{
    uint32_t n = 0;

    for (uint32_t r = 0; r < SCREEN_LINES; r++)
        n += strstr(screen[r], words) != NULL;
    return n;
}

static void on_a_terminal_the_view_stays_in_its_place_and_goes_in_the_end(void **state)
{
    int terminal, status = 0;
    pid_t pid = start_on_terminal(&terminal);

    read_until(terminal, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(terminal);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("status %d:\n%s", status, text);
    assert_non_null(strstr(text, "place 2  "));
    assert_non_null(strstr(text, "tok/s  accepted"));
    assert_non_null(strstr(text, "MB  verify "));
    assert_cursor_is_shown();
    play();
    /* Each trial's line once, and of the view nothing. */
    assert_int_equal(lines_with(" doc 1 seed "), N_TRIALS);
    assert_int_equal(lines_with("place 1"), 0);
    assert_int_equal(lines_with("memory           ["), 0);
    assert_int_equal(lines_with("ETA"), 0);
    assert_int_equal(lines_with("run        12 trials on 2 prompts"), 1);
    assert_int_equal(lines_with("run: manifest.json, results.jsonl"), 1);
}

/* SIGKILL leaves no moment to restore anything. */
static void a_killed_run_leaves_the_cursor_visible(void **state)
{
    int terminal, status = 0;
    pid_t pid;

    assert_true(program_write(&p, "hold-cuda:0", ""));
    assert_true(program_write(&p, "hold-cuda:1", ""));
    pid = start_on_terminal(&terminal);
    read_until(terminal, "\033[?25h");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    read_until(terminal, NULL);
    close(terminal);
    assert_cursor_is_shown();
}

/* ---- elsewhere ---- */

/* In the private directory, where `fake` is the program. */
static void shell(const char *command, int wanted)
{
    char all[1024];
    int status;

    snprintf(all, sizeof all, "cd '%s' && fake() { '%s' \"$@\"; } && %s", p.dir, FAKE, command);
    status = system(all);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted)
        fail_msg("status %d: %s", status, command);
}

static const char *file(const char *name)
{
    char path[128];
    FILE *from;

    snprintf(path, sizeof path, "%s/%s", p.dir, name);
    from = fopen(path, "r");
    assert_non_null(from);
    n_text = fread(text, 1, MAX_BYTES, from);
    text[n_text] = '\0';
    fclose(from);
    return text;
}

static void elsewhere_there_are_plain_lines(void **state)
{
    shell("fake run study.yaml --out run >out 2>err", 0);
    assert_null(strchr(file("err"), '\033'));
    assert_non_null(strstr(text, "1/12 place "));
    assert_int_equal(count_of(text, ": prefill, document 1, "), 2);
    assert_int_equal(count_of(text, ": baseline, "), 6);
    assert_null(strchr(file("out"), '\033'));
    assert_int_equal(count_of(text, " doc 1 seed "), N_TRIALS);
}

static void quiet_leaves_the_tables_alone(void **state)
{
    shell("fake run study.yaml --out run --quiet >out 2>err", 0);
    assert_string_equal(file("err"), "");
    assert_int_equal(count_of(file("out"), " doc 1 seed "), 0);
    assert_null(strstr(text, "trials on 2 prompts"));
    assert_non_null(strstr(text, "baseline vs vanilla_specdec, tok/s"));
}

/* ---- events ---- */

static const char *word(const json_t *event, const char *key)
{
    const char *found = json_string_value(json_object_get(event, key));

    if (found == NULL)
        fail_msg("no %s in %s", key, json_dumps(event, 0));
    return found;
}

static long number(const json_t *event, const char *key)
{
    if (!json_is_integer(json_object_get(event, key)))
        fail_msg("no %s in %s", key, json_dumps(event, 0));
    return (long)json_integer_value(json_object_get(event, key));
}

/* The trial that each place has begun and not ended. */
static void follow(const json_t *event, long at[3], uint32_t *n_ended)
{
    bool is_trial = strcmp(word(event, "event"), "trial") == 0;
    bool is_phase = strcmp(word(event, "event"), "phase") == 0;
    long place = is_trial || is_phase ? number(event, "place") : 1;

    assert_true(place == 1 || place == 2);
    if (is_phase && strcmp(word(event, "phase"), "trial") == 0)
        at[place] = number(event, "trial");
    if (!is_trial)
        return;
    assert_int_equal(number(event, "trial"), at[place]);
    assert_string_equal(word(event, "status"), "ok");
    assert_int_equal(number(event, "done"), ++*n_ended);
    assert_close(json_real_value(json_object_get(event, "tok_per_s")), 1000, 1e-6);
}

static void check_events(const char *name)
{
    double t = -1, now;
    uint32_t n_ended = 0, n_lines = 0;
    long at[3] = {-1, -1, -1};
    char last[16] = "";

    (void)file(name);
    for (char *line = text; *line != '\0'; n_lines++) {
        char *end = strchr(line, '\n');
        json_t *event;
        assert_non_null(end);
        event = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (event == NULL)
            fail_msg("no JSON: %.*s", (int)(end - line), line);
        now = json_real_value(json_object_get(event, "t"));
        assert_true(now >= t);
        t = now;
        if (n_lines == 0)
            assert_string_equal(word(event, "event"), "run");
        follow(event, at, &n_ended);
        snprintf(last, sizeof last, "%s", word(event, "event"));
        if (strcmp(last, "end") == 0)
            assert_string_equal(word(event, "status"), "done");
        json_decref(event);
        line = end + 1;
    }
    assert_int_equal(n_ended, N_TRIALS);
    assert_string_equal(last, "end");
}

static void events_tell_every_trial_on_a_descriptor_of_their_own(void **state)
{
    shell("fake run study.yaml --out run --json-progress 3 3>events >out 2>err", 0);
    check_events("events");
    assert_int_equal(count_of(file("out"), " doc 1 seed "), N_TRIALS);
}

static void events_on_stdout_have_it_for_themselves(void **state)
{
    shell("fake run study.yaml --out run --json-progress 1 >events 2>err", 0);
    check_events("events");
    assert_int_equal(count_of(file("err"), " doc 1 seed "), N_TRIALS);
}

static void a_reader_that_leaves_does_not_end_the_run(void **state)
{
    shell("fake run study.yaml --out run --json-progress 1 2>err | head -n 1 >first", 0);
    assert_non_null(strstr(file("first"), "\"event\":\"run\""));
    assert_int_equal(count_of(file("run/results.jsonl"), "\n"), N_TRIALS);
    assert_non_null(strstr(file("err"), "baseline vs vanilla_specdec, tok/s"));
    assert_non_null(strstr(file("run/logs/mspeckv.log"), "progress events end: Broken pipe"));
}

static void a_descriptor_that_is_not_open_for_writing_is_refused(void **state)
{
    shell("fake run study.yaml --out run --json-progress 9 2>err", 2);
    assert_non_null(strstr(file("err"), "--json-progress: descriptor 9: Bad file descriptor; "));
    shell("fake run study.yaml --out run --json-progress 4 4</dev/null 2>err", 2);
    assert_non_null(strstr(file("err"), "descriptor 4 is open for reading only"));
    assert_false(program_has_file(&p, "run"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_program, close_program)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(on_a_terminal_the_view_stays_in_its_place_and_goes_in_the_end),
        CASE(a_killed_run_leaves_the_cursor_visible),
        CASE(elsewhere_there_are_plain_lines),
        CASE(quiet_leaves_the_tables_alone),
        CASE(events_tell_every_trial_on_a_descriptor_of_their_own),
        CASE(events_on_stdout_have_it_for_themselves),
        CASE(a_reader_that_leaves_does_not_end_the_run),
        CASE(a_descriptor_that_is_not_open_for_writing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
