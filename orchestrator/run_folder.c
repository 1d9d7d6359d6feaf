#include "orchestrator/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"

static enum status make_one(const char *path, bool may_exist, struct err *err)
{
    if (mkdir(path, 0777) == 0 || (may_exist && errno == EEXIST))
        return ST_OK;
    return err_set(err, ST_IO, "mkdir %s: %s", path, strerror(errno));
}

/* The folder and those above it that are absent. */
static enum status make_parents(const char *path, struct err *err)
{
    char *copy = mem_strdup(path);
    enum status st = ST_OK;
    for (char *slash = strchr(copy + 1, '/'); st == ST_OK && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        st = make_one(copy, true, err);
        *slash = '/';
    }
    if (st == ST_OK)
        st = make_one(copy, true, err);
    free(copy);
    return st;
}

static enum status make_logs(const char *path, struct err *err)
{
    char *logs = mem_printf("%s/logs", path);
    enum status st = make_one(logs, false, err);
    free(logs);
    return st;
}

enum status run_folder_make(char **path, const char *base, const char *name, struct err *err)
{
    char date[32];
    struct tm utc;
    time_t now = time(NULL);
    if (base == NULL)
        base = "runs";
    enum status st = base[0] == '\0' ? err_set(err, ST_INVALID, "an empty path for runs")
                                     : make_parents(base, err);
    if (st != ST_OK)
        return st;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &utc);
    char *own = mem_printf("%s/%s-%s-%d", base, name, date, (int)getpid());
    st = make_one(own, false, err);
    if (st == ST_OK)
        st = make_logs(own, err);
    if (st == ST_OK)
        *path = own;
    else
        free(own);
    return st;
}

static enum status check_empty(const char *dir, struct err *err)
{
    DIR *open_dir = opendir(dir);
    enum status st = ST_OK;
    if (open_dir == NULL && errno == ENOTDIR)
        return err_set(err, ST_INVALID, "%s is no directory; a new or empty one would be right",
                       dir);
    if (open_dir == NULL)
        return err_set(err, ST_IO, "open %s: %s", dir, strerror(errno));
    for (struct dirent *e = readdir(open_dir); st == ST_OK && e != NULL; e = readdir(open_dir))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            st = err_set(err, ST_INVALID,
                         "%s is not empty (it holds %s); a new or empty directory would be right, "
                         "and `mspeckv run --resume DIR` goes on with a run",
                         dir, e->d_name);
    closedir(open_dir);
    return st;
}

enum status run_folder_take(char **path, const char *dir, struct err *err)
{
    struct stat info;
    enum status st;
    if (dir[0] == '\0')
        return err_set(err, ST_INVALID, "an empty path; a new or empty directory would be right");
    if (stat(dir, &info) != 0 && errno == ENOENT)
        st = make_parents(dir, err);
    else
        st = check_empty(dir, err);
    if (st == ST_OK)
        st = make_logs(dir, err);
    if (st == ST_OK)
        *path = mem_strdup(dir);
    return st;
}
