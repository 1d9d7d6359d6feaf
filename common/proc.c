#include "common/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

/* ---- starting a child ---- */

/* What the child needs between fork and exec; all prepared before the fork. */
struct birth {
    char *const *argv;
    pid_t parent;
    int null_fd;
    int log_fd;                  /* -1: keep stdout and stderr */
    int report_fd;               /* errno of a failed step goes here; closed by exec */
    const struct cpu_list *cpus; /* NULL: as the parent's */
};

static void reset_signals(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    static const int ours[] = {SIGTERM, SIGINT, SIGPIPE, SIGCHLD};
    sigset_t none;

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        sigaction(ours[i], &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Only async-signal-safe calls: another thread may have held any lock. */
static void be_child(const struct birth *b)
{
    int failed = 0;

    reset_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        failed = errno;
    /* Ctrl-C on the terminal is for the parent, which ends its children itself. */
    if (setpgid(0, 0) != 0 && failed == 0)
        failed = errno;
    if (getppid() != b->parent)
        _exit(EXIT_RUNTIME); /* the parent died before the kernel was told to care */
    if (failed == 0 && b->cpus != NULL &&
        sched_setaffinity(0, sizeof b->cpus->set, &b->cpus->set) != 0)
        failed = errno;
    if (failed == 0 && dup2(b->null_fd, STDIN_FILENO) < 0)
        failed = errno;
    if (failed == 0 && b->log_fd >= 0 &&
        (dup2(b->log_fd, STDOUT_FILENO) < 0 || dup2(b->log_fd, STDERR_FILENO) < 0))
        failed = errno;
    if (failed == 0) {
        execv(b->argv[0], b->argv);
        failed = errno;
    }
    if (write(b->report_fd, &failed, sizeof failed) != sizeof failed)
        _exit(EXIT_RUNTIME);
    _exit(EXIT_RUNTIME);
}

/* Moves a descriptor out of the way of stdin, stdout and stderr. */
static int above_stdio(int fd)
{
    int moved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return moved;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static enum status open_streams(struct birth *b, const char *log_path, struct err *err)
{
    b->null_fd = above_stdio(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (b->null_fd < 0)
        return err_set(err, ST_IO, "open /dev/null: %s", strerror(errno));
    if (log_path == NULL)
        return ST_OK;
    b->log_fd = above_stdio(open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (b->log_fd < 0)
        return err_set(err, ST_IO, "open log %s: %s", log_path, strerror(errno));
    return ST_OK;
}

/* Waits until the child runs its program, or says why it does not. */
static enum status await_exec(pid_t pid, int report_fd, const char *path, struct err *err)
{
    int failed = 0;
    ssize_t n;

    do {
        n = read(report_fd, &failed, sizeof failed);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return ST_OK;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return err_set(err, failed == ENOENT ? ST_NOT_FOUND : ST_IO, "run %s: %s", path,
                   n == (ssize_t)sizeof failed ? strerror(failed) : "the child gave no answer");
}

static void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static enum status start(struct proc *p, struct birth *b, struct err *err)
{
    int report[2];
    enum status st;
    pid_t pid;

    if (pipe2(report, O_CLOEXEC) != 0)
        return err_set(err, ST_IO, "pipe: %s", strerror(errno));
    report[1] = above_stdio(report[1]);
    b->report_fd = report[1];
    pid = fork();
    if (pid == 0)
        be_child(b);
    close_if_open(report[1]);
    if (pid < 0) {
        close(report[0]);
        return err_set(err, ST_IO, "fork: %s", strerror(errno));
    }
    st = await_exec(pid, report[0], b->argv[0], err);
    close(report[0]);
    if (st != ST_OK)
        return st;
    p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (p->pidfd < 0) {
        st = err_set(err, ST_UNSUPPORTED, "pidfd_open: %s; Linux 5.3 or newer is needed",
                     strerror(errno));
        kill_and_reap(pid);
        return st;
    }
    fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
    p->pid = pid;
    return ST_OK;
}

enum status proc_spawn_on(struct proc *out, const char *name, char *const argv[],
                          const char *log_path, const struct cpu_list *cpus, struct err *err)
{
    bool is_bound = cpus != NULL && cpu_list_count(cpus) > 0;
    struct birth b = {.argv = argv,
                      .parent = getpid(),
                      .null_fd = -1,
                      .log_fd = -1,
                      .cpus = is_bound ? cpus : NULL};
    struct proc p = {.pidfd = -1};
    enum status st;

    snprintf(p.name, sizeof p.name, "%s", name);
    snprintf(p.log_path, sizeof p.log_path, "%s", log_path != NULL ? log_path : "");
    st = open_streams(&b, log_path, err);
    if (st == ST_OK)
        st = start(&p, &b, err);
    close_if_open(b.null_fd);
    close_if_open(b.log_fd);
    if (st != ST_OK)
        return err_in(err, st, "starting %s", name);
    *out = p;
    return ST_OK;
}

enum status proc_spawn(struct proc *out, const char *name, char *const argv[], const char *log_path,
                       struct err *err)
{
    return proc_spawn_on(out, name, argv, log_path, NULL, err);
}

/* ---- its end ---- */

static void forget(struct proc *p)
{
    close_if_open(p->pidfd);
    p->pidfd = -1;
    p->pid = 0;
}

bool proc_has_ended(struct proc *p, char *how, size_t how_size)
{
    int status = 0;
    pid_t pid;

    if (p->pid == 0) {
        snprintf(how, how_size, "not running");
        return true;
    }
    do {
        pid = waitpid(p->pid, &status, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return false;
    if (pid < 0)
        snprintf(how, how_size, "ended, its status is unknown (%s)", strerror(errno));
    else if (WIFSIGNALED(status))
        snprintf(how, how_size, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, how_size, "exit status %d", WEXITSTATUS(status));
    forget(p);
    return true;
}

void proc_stop(struct proc *p, int timeout_ms)
{
    uint64_t deadline = clock_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
    struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};
    int rc = 0;

    if (p->pid == 0)
        return;
    kill(p->pid, SIGTERM);
    do {
        uint64_t now = clock_now_ns();
        int left_ms = now < deadline ? (int)((deadline - now) / 1000000u) + 1 : 0;
        rc = poll(&ended, 1, left_ms);
    } while (rc < 0 && errno == EINTR);
    kill_and_reap(p->pid);
    forget(p);
}

/* ---- this process ---- */

static struct {
    atomic_int n_stops;
    int fd; /* eventfd, or -1 before proc_init */
} own = {.fd = -1};

static void on_stop_signal(int number)
{
    const uint64_t one = 1;
    int saved = errno;

    atomic_fetch_add(&own.n_stops, 1);
    if (write(own.fd, &one, sizeof one) < 0)
        errno = saved; /* a full counter is readable, which is all that is wanted */
    errno = saved;
}

enum status proc_init(bool die_with_parent, struct err *err)
{
    struct sigaction stop = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction hangup;
    pid_t parent = getppid();

    if (own.fd < 0)
        own.fd = above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (own.fd < 0)
        return err_set(err, ST_IO, "eventfd: %s", strerror(errno));
    if (sigaction(SIGTERM, &stop, NULL) != 0 || sigaction(SIGINT, &stop, NULL) != 0 ||
        sigaction(SIGPIPE, &ignore, NULL) != 0)
        return err_set(err, ST_IO, "sigaction: %s", strerror(errno));
    /* A closed terminal stops us as Ctrl-C does, unless nohup asked to go on. */
    if (sigaction(SIGHUP, NULL, &hangup) != 0 ||
        (hangup.sa_handler != SIG_IGN && sigaction(SIGHUP, &stop, NULL) != 0))
        return err_set(err, ST_IO, "sigaction: %s", strerror(errno));
    if (!die_with_parent)
        return ST_OK;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        return err_set(err, ST_IO, "prctl PR_SET_PDEATHSIG: %s", strerror(errno));
    if (getppid() != parent)
        raise(SIGTERM); /* it died in between, so no signal will come */
    return ST_OK;
}

bool proc_stop_requested(void)
{
    return atomic_load(&own.n_stops) > 0;
}

int proc_stop_count(void)
{
    return atomic_load(&own.n_stops);
}

int proc_stop_fd(void)
{
    return own.fd;
}

enum status proc_self_dir(char *buf, size_t size, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", buf, size);
    char *slash;

    if (n < 0)
        return err_set(err, ST_IO, "readlink /proc/self/exe: %s", strerror(errno));
    if ((size_t)n >= size)
        return err_set(err, ST_INVALID, "the path of this program is longer than %zu bytes", size);
    buf[n] = '\0';
    slash = strrchr(buf, '/');
    CHECK(slash != NULL);
    slash[slash == buf ? 1 : 0] = '\0';
    return ST_OK;
}

int exit_report(const char *program, int exit_if_failed, enum status st, const struct err *err)
{
    if (st == ST_OK)
        return EXIT_DONE;
    fprintf(stderr, "%s: %s\n", program,
            err != NULL && err->text[0] != '\0' ? err->text : status_words(st));
    return exit_if_failed;
}
