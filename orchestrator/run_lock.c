#include "orchestrator/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

static enum status refuse(int fd, const char *dir, struct err *err)
{
    struct flock held = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_GETLK, &held) == 0 && held.l_type != F_UNLCK && held.l_pid > 0)
        return err_set(err, ST_STALE, "%s: process %d is at work in it; wait for its end", dir,
                       (int)held.l_pid);
    return err_set(err, ST_STALE, "%s: another process is at work in it; wait for its end", dir);
}

enum status run_lock_take(struct run_lock *out, const char *dir, struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path = mem_printf("%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    enum status st = ST_OK;

    if (fd < 0)
        st = err_set(err, ST_IO, "open %s: %s", path, strerror(errno));
    else if (fcntl(fd, F_SETLK, &whole) != 0)
        st = errno == EACCES || errno == EAGAIN
                 ? refuse(fd, dir, err)
                 : err_set(err, ST_IO, "lock %s: %s", path, strerror(errno));
    free(path);
    if (st == ST_OK)
        out->fd = fd;
    else if (fd >= 0)
        close(fd);
    return st;
}

void run_lock_give(struct run_lock *lock)
{
    if (lock->fd > 0)
        close(lock->fd);
    lock->fd = 0;
}
