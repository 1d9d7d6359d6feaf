#include "common/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

#define PREFIX      "mspeckv-"
#define RANDOM_PART "XXXXXX" /* replaced by mkdtemp */
#define LOCK_NAME   "lock"

/* A socket's path has 107 bytes; this leaves 42 for its name. */
enum { SOCKET_PATH_SIZE = 108, MAX_PATH = 64, MAX_TRIES = 16 };

struct rundir {
    char path[MAX_PATH + 1];
    int dir_fd;
    int lock_fd;
};

static struct rundir *new_rundir(void)
{
    struct rundir *dir = mem_zalloc(sizeof *dir);

    dir->dir_fd = dir->lock_fd = -1;
    return dir;
}

static void free_rundir(struct rundir *dir)
{
    if (dir->lock_fd >= 0)
        close(dir->lock_fd);
    if (dir->dir_fd >= 0)
        close(dir->dir_fd);
    free(dir);
}

/* Ours: a directory of this user that nobody else can enter. */
static bool is_private_dir(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 07777) == 0700;
}

static int open_dir(int parent_fd, const char *path)
{
    return openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_lock(int dir_fd, int extra_flags)
{
    return openat(dir_fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | extra_flags,
                  0600);
}

/* A lock counts only while its file is still in a directory: whoever removes a
 * run directory does so under the exclusive lock. */
static bool take_shared_lock(int lock_fd)
{
    struct stat st;
    int rc;

    do {
        rc = flock(lock_fd, LOCK_SH);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 && fstat(lock_fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 0;
}

/* Under the exclusive lock. The lock file goes last, so that a directory
 * without one is empty. Names are unlinked inside the directory, never
 * followed; an unexpected subdirectory keeps the directory alive. */
static void remove_files(int dir_fd)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    rewinddir(list);
    while ((entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, LOCK_NAME) == 0)
            continue;
        if (unlinkat(dir_fd, entry->d_name, 0) != 0)
            log_warn(LOG_PROC, "remove name=%s error=%s", entry->d_name, strerror(errno));
    }
    closedir(list);
    unlinkat(dir_fd, LOCK_NAME, 0);
}

static void sweep_one(int base_fd, const char *name)
{
    int dir_fd = open_dir(base_fd, name);
    int lock_fd = dir_fd >= 0 && is_private_dir(dir_fd) ? open_lock(dir_fd, 0) : -1;
    bool may_remove = false;

    if (lock_fd >= 0 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0) {
        remove_files(dir_fd);
        may_remove = true;
    }
    if (dir_fd >= 0 && lock_fd < 0 && errno == ENOENT && is_private_dir(dir_fd))
        may_remove = true; /* without a lock file it is empty; rmdir refuses if it is not */
    if (may_remove)
        unlinkat(base_fd, name, AT_REMOVEDIR);
    if (lock_fd >= 0)
        close(lock_fd);
    if (dir_fd >= 0)
        close(dir_fd);
}

static void sweep(const char *base)
{
    DIR *list = opendir(base);
    struct dirent *entry;

    if (list == NULL)
        return;
    while ((entry = readdir(list)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 &&
            strlen(entry->d_name) == strlen(PREFIX RANDOM_PART))
            sweep_one(dirfd(list), entry->d_name);
    }
    closedir(list);
}

/* XDG_RUNTIME_DIR if it is ours and short enough, else /tmp. */
static const char *find_base(void)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct stat st;

    if (base == NULL || base[0] != '/' || strlen(base) + strlen("/" PREFIX RANDOM_PART) > MAX_PATH)
        return "/tmp";
    if (stat(base, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        access(base, W_OK | X_OK) != 0)
        return "/tmp";
    return base;
}

/* False if a sweep of another process got between its steps: then the
 * directory is gone again and the caller makes another. */
static bool settle(struct rundir *dir)
{
    dir->dir_fd = open_dir(AT_FDCWD, dir->path);
    if (dir->dir_fd < 0)
        return false;
    dir->lock_fd = open_lock(dir->dir_fd, O_CREAT | O_EXCL);
    return dir->lock_fd >= 0 && take_shared_lock(dir->lock_fd);
}

enum status rundir_create(struct rundir **out, struct err *err)
{
    const char *base = find_base();
    int failed = 0;

    sweep(base);
    for (int i = 0; i < MAX_TRIES; i++) {
        struct rundir *dir = new_rundir();
        snprintf(dir->path, sizeof dir->path, "%s/" PREFIX RANDOM_PART, base);
        if (mkdtemp(dir->path) != NULL && settle(dir)) {
            *out = dir;
            return ST_OK;
        }
        failed = errno;
        free_rundir(dir);
    }
    return err_set(err, ST_IO, "make a run directory in %s: %s", base, strerror(failed));
}

enum status rundir_join(struct rundir **out, const char *path, struct err *err)
{
    struct rundir *dir;
    enum status st = ST_OK;

    if (path[0] != '/' || strlen(path) > MAX_PATH)
        return err_set(err, ST_INVALID,
                       "run directory %.80s: an absolute path of at most %d bytes is needed", path,
                       MAX_PATH);
    dir = new_rundir();
    snprintf(dir->path, sizeof dir->path, "%s", path);
    dir->dir_fd = open_dir(AT_FDCWD, path);
    if (dir->dir_fd < 0)
        st = err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "run directory %s: %s", path,
                     strerror(errno));
    else if (!is_private_dir(dir->dir_fd))
        st = err_set(err, ST_INVALID,
                     "run directory %s: its mode must be 0700 and its owner user %u", path,
                     (unsigned)geteuid());
    if (st == ST_OK)
        dir->lock_fd = open_lock(dir->dir_fd, 0);
    if (st == ST_OK && (dir->lock_fd < 0 || !take_shared_lock(dir->lock_fd)))
        st = err_set(err, ST_NOT_FOUND, "run directory %s: its run has ended (no lock file)", path);
    if (st != ST_OK) {
        free_rundir(dir);
        return st;
    }
    *out = dir;
    return ST_OK;
}

const char *rundir_path(const struct rundir *dir)
{
    return dir->path;
}

void rundir_socket(const struct rundir *dir, const char *name, char buf[108])
{
    int n = snprintf(buf, SOCKET_PATH_SIZE, "%s/%s", dir->path, name);

    CHECK(n > 0 && n < SOCKET_PATH_SIZE);
}

void rundir_leave(struct rundir *dir)
{
    if (dir == NULL)
        return;
    /* Turning the shared lock into the exclusive one drops the shared one
     * first, so of several that leave at once the last always succeeds. */
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        remove_files(dir->dir_fd);
        if (rmdir(dir->path) != 0 && errno != ENOENT)
            log_warn(LOG_PROC, "remove path=%s error=%s", dir->path, strerror(errno));
    }
    free_rundir(dir);
}

const char *rundir_job_id(void)
{
    const char *id = getenv("SLURM_JOB_ID");

    return id != NULL && id[0] != '\0' ? id : NULL;
}
