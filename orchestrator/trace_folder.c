#include "orchestrator/trace_folder.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

char *trace_folder_next(const char *dir, const char *name)
{
    for (unsigned n = 1;; n++) {
        char *path = mem_printf("%s/%s-%u.trace", dir, name, n);
        if (access(path, F_OK) != 0)
            return path;
        free(path);
    }
}

static void leave_out(struct trace_set *set, const char *why)
{
    set->left_out = mem_resize(set->left_out, set->n_left_out + 1, sizeof *set->left_out);
    set->left_out[set->n_left_out++] = mem_strdup(why);
}

static void add(struct trace_set *set, const char *path, uint32_t place, const char *boot)
{
    struct trace_source *s;
    struct err why = {{0}};
    enum status st;

    set->source = mem_resize(set->source, set->n_sources + 1, sizeof *set->source);
    s = &set->source[set->n_sources];
    *s = (struct trace_source){.place = place};
    st = trace_file_read(&s->file, path, &why);
    if (st == ST_OK && strcmp(s->file.head.boot, boot) != 0)
        st = err_set(&why, ST_STALE, "%s: written before the machine was started anew", path);
    if (st != ST_OK) {
        trace_file_release(&s->file);
        leave_out(set, why.text);
        return;
    }
    set->n_sources++;
    set->n_dropped += s->file.n_dropped;
    for (size_t i = 0; i < s->file.n_events; i++)
        if (set->first_ns == 0 || s->file.event[i].begin_ns < set->first_ns)
            set->first_ns = s->file.event[i].begin_ns;
}

/* N of a path with a folder place-N; 0: it has none. */
static uint32_t place_of(const char *path, size_t n_dir)
{
    unsigned place = 0;

    return sscanf(path + n_dir, "/place-%u/", &place) == 1 ? place : 0;
}

/* Folders may have any name: what glob would read in it is quoted. */
static char *quote(const char *dir)
{
    char *quoted = mem_array(2 * strlen(dir) + 1, 1), *to = quoted;

    for (; *dir != '\0'; *to++ = *dir++)
        if (strchr("*?[\\", *dir) != NULL)
            *to++ = '\\';
    *to = '\0';
    return quoted;
}

static void add_all(struct trace_set *set, const char *dir, const char *pattern, const char *boot)
{
    char *quoted = quote(dir), *all = mem_printf("%s/%s", quoted, pattern);
    glob_t found = {.gl_pathc = 0};

    if (glob(all, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            add(set, found.gl_pathv[i], place_of(found.gl_pathv[i], strlen(dir)), boot);
    globfree(&found);
    free(all);
    free(quoted);
}

static int rank_of(const struct trace_source *s)
{
    static const char *const order[] = {"mspeckv", "kvstore", "verify", "draft"};
    int i = 0;

    while (i < 4 && strcmp(s->file.head.process, order[i]) != 0)
        i++;
    return i;
}

static uint64_t begin_of(const struct trace_source *s)
{
    return s->file.n_events > 0 ? s->file.event[0].begin_ns : 0;
}

static int by_place(const void *one, const void *other)
{
    const struct trace_source *a = one, *b = other;

    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    if (rank_of(a) != rank_of(b))
        return rank_of(a) - rank_of(b);
    return begin_of(a) < begin_of(b) ? -1 : begin_of(a) > begin_of(b);
}

enum status trace_folder_read(struct trace_set *out, const char *dir, struct err *err)
{
    char boot[TRACE_BOOT_TEXT];

    *out = (struct trace_set){.n_sources = 0};
    trace_file_boot(boot);
    add_all(out, dir, "*.trace", boot);
    add_all(out, dir, "place-*/*.trace", boot);
    if (out->first_ns == 0)
        return err_set(err, ST_NOT_FOUND, "%s holds no trace%s%s", dir,
                       out->n_left_out > 0 ? ": " : "",
                       out->n_left_out > 0 ? out->left_out[0] : "");
    qsort(out->source, out->n_sources, sizeof *out->source, by_place);
    return ST_OK;
}

void trace_set_release(struct trace_set *set)
{
    for (size_t i = 0; i < set->n_sources; i++) {
        trace_file_release(&set->source[i].file);
        free(set->source[i].flow);
    }
    for (size_t i = 0; i < set->n_left_out; i++)
        free(set->left_out[i]);
    free(set->source);
    free(set->left_out);
    *set = (struct trace_set){.n_sources = 0};
}
