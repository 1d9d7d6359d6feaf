#include "tools/synth/out_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/mem.h"

static bool is_dot(const struct dirent *e)
{
    return strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
}

/* Nothing there, or a directory with nothing in it. */
static enum status check_free(const char *path, struct err *err)
{
    DIR *list = opendir(path);
    bool is_empty = true;

    if (list == NULL && errno == ENOENT)
        return ST_OK;
    if (list == NULL)
        return err_set(err, ST_INVALID, "--out %s: %s", path, strerror(errno));
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list))
        is_empty = is_empty && is_dot(e);
    closedir(list);
    if (!is_empty)
        return err_set(err, ST_INVALID,
                       "--out %s is not empty; a new or an empty directory would be right", path);
    return ST_OK;
}

enum status out_dir_open(struct out_dir *out, const char *path, struct err *err)
{
    struct out_dir dir = {.path = mem_strdup(path)};
    enum status st;

    for (size_t n = strlen(path); n > 1 && dir.path[n - 1] == '/'; n--)
        dir.path[n - 1] = '\0';
    dir.partial = mem_printf("%s.partial", dir.path);
    st = check_free(dir.path, err);
    if (st == ST_OK && mkdir(dir.partial, 0777) != 0) {
        st = errno == EEXIST ? err_set(err, ST_INVALID,
                                       "%s exists: it is being written, or its writer was killed; "
                                       "remove it then",
                                       dir.partial)
                             : err_set(err, ST_IO, "create %s: %s", dir.partial, strerror(errno));
    }
    if (st == ST_OK) {
        *out = dir;
        return ST_OK;
    }
    free(dir.path);
    free(dir.partial);
    return st;
}

enum status out_dir_check_space(const struct out_dir *dir, uint64_t n_bytes, struct err *err)
{
    struct statvfs fs;
    uint64_t n_free;

    if (statvfs(dir->partial, &fs) != 0)
        return err_set(err, ST_IO, "%s: %s", dir->partial, strerror(errno));
    n_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (n_free < n_bytes)
        return err_set(err, ST_NO_SPACE,
                       "%s: %" PRIu64 " bytes (%.1f GB) are needed, %" PRIu64
                       " (%.1f GB) are free there",
                       dir->path, n_bytes, (double)n_bytes * 1e-9, n_free, (double)n_free * 1e-9);
    return ST_OK;
}

static enum status sync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = ST_OK;

    if (fd < 0 || fsync(fd) != 0)
        st = err_set(err, ST_IO, "sync %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return st;
}

enum status out_dir_publish(struct out_dir *dir, struct err *err)
{
    enum status st = sync_dir(dir->partial, err);

    if (st != ST_OK)
        return st;
    if (rename(dir->partial, dir->path) != 0)
        return err_set(err, ST_IO, "rename %s to %s: %s", dir->partial, dir->path, strerror(errno));
    free(dir->partial);
    dir->partial = NULL;
    return ST_OK;
}

void out_dir_release(struct out_dir *dir)
{
    DIR *list = dir->partial != NULL ? opendir(dir->partial) : NULL;

    if (list != NULL) {
        for (struct dirent *e = readdir(list); e != NULL; e = readdir(list))
            if (!is_dot(e))
                unlinkat(dirfd(list), e->d_name, 0);
        closedir(list);
        rmdir(dir->partial);
    }
    free(dir->path);
    free(dir->partial);
    memset(dir, 0, sizeof *dir);
}
