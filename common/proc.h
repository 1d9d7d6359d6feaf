/*
 * proc.h - child processes, and this process's own end.
 *
 * A child gets SIGTERM when its parent dies (PDEATHSIG), a process group of
 * its own (a terminal's Ctrl-C does not reach it), its stdin from /dev/null,
 * its stdout and stderr appended to its log file.
 */
#ifndef COMMON_PROC_H
#define COMMON_PROC_H

#include <stddef.h>
#include <sys/types.h>

#include "common/cpu_list.h"
#include "common/status.h"

struct proc {
    pid_t pid; /* 0 when none */
    int pidfd; /* readable when the process has ended; -1 when none */
    char name[32];
    char log_path[4096]; /* PATH_MAX: a longer one cannot be opened */
};

/* ST_NOT_FOUND or ST_IO also where the program itself cannot be run. A NULL
 * log_path keeps this process's stdout and stderr. PDEATHSIG follows the thread
 * that calls this, so it must live as long as the child is wanted.
 * argv[0] is the path of the program; fork+exec from a process that may have
 * threads, so only async-signal-safe calls lie between. */
enum status proc_spawn(struct proc *out, const char *name, char *const argv[], const char *log_path,
                       struct err *err);
/* The same; the child and all that it starts run on these CPUs only, from the
 * first instruction of the program on. NULL or empty: on this process's. */
enum status proc_spawn_on(struct proc *out, const char *name, char *const argv[],
                          const char *log_path, const struct cpu_list *cpus, struct err *err);
/* True if it has ended; then *how is words such as "exit status 1" or
 * "killed by signal 9", in the caller's buffer. Reaps it. */
bool proc_has_ended(struct proc *p, char *how, size_t how_size);
/* SIGTERM, wait up to timeout_ms, then SIGKILL; reaps. */
void proc_stop(struct proc *p, int timeout_ms);

/* In main of every program: SIGTERM, SIGINT and, unless it is ignored
 * (nohup), SIGHUP set a flag and make
 * proc_stop_fd() readable; SIGPIPE is ignored; PDEATHSIG = SIGTERM if
 * `die_with_parent`. */
enum status proc_init(bool die_with_parent, struct err *err);
bool proc_stop_requested(void);
int proc_stop_count(void); /* how many times a stop was asked for */
int proc_stop_fd(void);

/* Directory of the running executable, in a buffer of the caller. */
enum status proc_self_dir(char *buf, size_t size, struct err *err);

/* Exit status 0 done, 1 failed, 2 usage; prints the one line. */
enum { EXIT_DONE = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };
int exit_report(const char *program, int exit_if_failed, enum status st, const struct err *err);

#endif
