/*
 * program.h - the program mspeckv as a user runs it: arguments in, exit status
 * and output out, its processes found by what they were started with.
 */
#ifndef TESTS_SYSTEM_PROGRAM_H
#define TESTS_SYSTEM_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

struct program {
    const char *path; /* of the executable; program_init: build/bin/mspeckv */
    pid_t pid;
    char dir[64];      /* private, for its files; removed by program_close */
    char out[80];      /* stdout and stderr */
    char run_dir[128]; /* of the sockets; filled by program_find */
};

/* Makes the private directory. False: it cannot. */
bool program_init(struct program *p);
/* Starts the executable with the words of `arguments` (blanks part them; '@'
 * at the start of a word becomes the private directory). */
void program_start(struct program *p, const char *arguments);
/* Exit status, or 128 + signal. -1 after timeout_s: it is killed then. */
int program_wait(struct program *p, int timeout_s);
/* Both; the output is there afterwards. */
int program_run(struct program *p, const char *arguments);
/* What it has printed so far; borrowed until the next call. */
const char *program_output(const struct program *p);
bool program_write(const struct program *p, const char *name, const char *text);
bool program_has_file(const struct program *p, const char *name);

/* The process that it started as mspeckv-NAME; waits for it. 0 after a minute. */
pid_t program_find(struct program *p, const char *name);
/* True once its file `name` holds `words`; waits up to timeout_s. */
bool program_await(const struct program *p, const char *name, const char *words, int timeout_s);
/* Sends it and waits until it is pending no more: a second one counts for itself,
 * and a stopped process stands still. False: the process is gone. */
bool program_signal(pid_t pid, int number);
/* True once no process of the run and none of its sockets are left; waits up
 * to a minute. Needs program_find before. */
bool program_is_gone(const struct program *p);
void program_close(struct program *p);

#endif
