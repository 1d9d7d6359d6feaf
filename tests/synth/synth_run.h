/*
 * synth_run.h - mspeckv-synth as a process: its words, exit status and largest memory.
 */
#ifndef TESTS_SYNTH_SYNTH_RUN_H
#define TESTS_SYNTH_SYNTH_RUN_H

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/test_helpers.h"

enum { SYNTH_RUN_WORDS = 48 };

struct synth_run {
    char dir[64];      /* private; '@' at the start of a word stands for it */
    char output[8192]; /* stdout and stderr of the last run */
    long max_rss_kib;  /* of the last run */
    rlim_t file_limit; /* of a file's bytes; 0: none */
    pid_t pid;
};

static inline void synth_run_init(struct synth_run *r)
{
    memset(r, 0, sizeof *r);
    snprintf(r->dir, sizeof r->dir, "/tmp/test-synth-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
}

/* In the child: writes above the limit fail instead of killing. */
static inline void synth_run_exec(const struct synth_run *r, char *argv[], const char *out_path)
{
    int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    dup2(out, 1);
    dup2(out, 2);
    if (r->file_limit > 0) {
        const struct rlimit limit = {r->file_limit, r->file_limit};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    execv(argv[0], argv);
    _exit(127);
}

static inline void synth_run_start(struct synth_run *r, const char *arguments)
{
    static char program[] = TEST_BUILD_DIR "/bin/mspeckv-synth";
    char text[4096], *argv[SYNTH_RUN_WORDS] = {program}, out_path[96];
    size_t n = 0, n_words = 1;

    while (*arguments != '\0') {
        size_t n_word = strcspn(arguments, " ");
        bool is_ours = arguments[0] == '@';
        assert_true(n_words + 1 < SYNTH_RUN_WORDS);
        argv[n_words++] = text + n;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", is_ours ? r->dir : "",
                              (int)(n_word - is_ours), arguments + is_ours) +
             1;
        arguments += n_word + (arguments[n_word] == ' ');
    }
    snprintf(out_path, sizeof out_path, "%s.out", r->dir);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0)
        synth_run_exec(r, argv, out_path);
}

/* Exit status, or 128 + signal. */
static inline int synth_run_wait(struct synth_run *r)
{
    struct rusage used;
    char out_path[96];
    int status, fd;
    ssize_t n;

    assert_int_equal(wait4(r->pid, &status, 0, &used), r->pid);
    r->max_rss_kib = used.ru_maxrss;
    snprintf(out_path, sizeof out_path, "%s.out", r->dir);
    fd = open(out_path, O_RDONLY);
    assert_true(fd >= 0);
    n = read(fd, r->output, sizeof r->output - 1);
    close(fd);
    r->output[n > 0 ? n : 0] = '\0';
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void synth_run_expect(struct synth_run *r, const char *arguments, int status,
                                    const char *words)
{
    int got;

    synth_run_start(r, arguments);
    got = synth_run_wait(r);
    if (got != status || strstr(r->output, words) == NULL)
        fail_msg("mspeckv-synth %s: exit %d and \"%s\" were wanted, not %d and:\n%s", arguments,
                 status, words, got, r->output);
    if (status != 0) /* one line */
        assert_ptr_equal(strchr(r->output, '\n'), r->output + strlen(r->output) - 1);
}

static inline bool synth_run_has(const struct synth_run *r, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    return access(path, F_OK) == 0;
}

static inline void synth_run_release(struct synth_run *r)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf %s %s.out", r->dir, r->dir);
    assert_int_equal(system(command), 0);
}

#endif
