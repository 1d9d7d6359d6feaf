#include "orchestrator/text_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static bool is_text_file(const char *name)
{
    size_t n = strlen(name);

    return name[0] != '.' && n > 4 && strcmp(name + n - 4, ".txt") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add(struct text_folder *folder, size_t *cap, const char *name)
{
    if (folder->n == *cap) {
        *cap = *cap > 0 ? *cap * 2 : 64;
        folder->name = mem_resize(folder->name, *cap, sizeof *folder->name);
    }
    folder->name[folder->n++] = mem_strdup(name);
}

enum status text_folder_list(struct text_folder *out, const char *path, struct err *err)
{
    struct text_folder folder = {.n = 0};
    const struct dirent *entry;
    size_t cap = 0;
    enum status st = ST_OK;
    DIR *dir = opendir(path);

    if (dir == NULL)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "open %s: %s", path,
                       strerror(errno));
    for (errno = 0; st == ST_OK && (entry = readdir(dir)) != NULL; errno = 0) {
        if (!is_text_file(entry->d_name))
            continue;
        if (folder.n == TEXT_FOLDER_MAX_FILES)
            st = err_set(err, ST_INVALID, "%s: more than %d text files, the most that are listed",
                         path, TEXT_FOLDER_MAX_FILES);
        else
            add(&folder, &cap, entry->d_name);
    }
    if (st == ST_OK && errno != 0)
        st = err_set(err, ST_IO, "read %s: %s", path, strerror(errno));
    closedir(dir);
    if (st != ST_OK) {
        text_folder_release(&folder);
        return st;
    }
    if (folder.n > 0)
        qsort(folder.name, folder.n, sizeof *folder.name, by_name);
    *out = folder;
    return ST_OK;
}

void text_folder_release(struct text_folder *folder)
{
    for (size_t i = 0; i < folder->n; i++)
        free(folder->name[i]);
    free(folder->name);
    *folder = (struct text_folder){.n = 0};
}
