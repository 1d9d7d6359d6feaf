#include "orchestrator/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/rundir.h"

enum { FIRST_OWN_FD = 3 };

/* Its descriptor becomes FIRST_OWN_FD and all others close: the lock and the
 * terminal of the parent are not its own. */
static void let_go(int fd)
{
    int null_fd = open("/dev/null", O_RDWR);

    if (null_fd >= 0 && (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(null_fd, 2) < 0))
        _exit(1);
    if (dup2(fd, FIRST_OWN_FD) < 0)
        _exit(1);
    close_range(FIRST_OWN_FD + 1, UINT_MAX, 0);
}

/* 0 at the end of the parent. */
static size_t read_some(char *buf, size_t size)
{
    ssize_t n;

    do {
        n = read(FIRST_OWN_FD, buf, size);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

static void be_janitor(int fd)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct rundir *dir = NULL;
    char path[PATH_MAX] = "";
    size_t n;

    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGTERM, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "mspeckv-janitor");
    let_go(fd);
    n = read_some(path, sizeof path - 1);
    if (n > 0 && rundir_join(&dir, path, NULL) == ST_OK) {
        while (read_some(path, sizeof path) > 0)
            continue;
        rundir_leave(dir);
    }
    _exit(0);
}

enum status janitor_start(struct janitor *out, struct err *err)
{
    int end[2];
    pid_t pid;

    if (pipe2(end, O_CLOEXEC) != 0)
        return err_set(err, ST_IO, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        close(end[1]);
        be_janitor(end[0]);
    }
    close(end[0]);
    if (pid < 0) {
        close(end[1]);
        return err_set(err, ST_IO, "fork: %s", strerror(errno));
    }
    *out = (struct janitor){.pid = pid, .fd = end[1]};
    return ST_OK;
}

void janitor_watch(const struct janitor *j, const char *run_dir)
{
    if (write(j->fd, run_dir, strlen(run_dir)) < 0)
        log_warn(LOG_PROC, "janitor: %s", strerror(errno));
}

void janitor_end(struct janitor *j)
{
    if (j->pid == 0)
        return;
    close(j->fd);
    while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    j->pid = 0;
}
