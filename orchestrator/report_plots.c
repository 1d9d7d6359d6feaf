#include "orchestrator/report_plots.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/whole_file.h"

enum { MAX_SVG_BYTES = 8 << 20, MAX_LOG_BYTES = 64 << 10 };

static enum status write_script(const struct chart *c, const char *folder, struct err *err)
{
    char *text = NULL, *path = mem_printf("%s/%s.gp", folder, c->stem);
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    enum status st;

    CHECK(to != NULL);
    chart_script(to, c);
    CHECK(fclose(to) == 0);
    st = whole_file_write(path, text, n, err);
    free(text);
    free(path);
    return st;
}

/* In `folder`, with nothing on stdin and both outputs in gnuplot.log. */
static enum status spawn_gnuplot(char **argv, const char *folder, pid_t *pid, struct err *err)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    int failed;

    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addchdir_np(&actions, folder) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 1, "gnuplot.log", O_WRONLY | O_CREAT | O_TRUNC,
                                           0644) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, 1, 2) == 0);
    failed = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == ENOENT)
        return err_set(err, ST_NOT_FOUND,
                       "gnuplot is not there, which draws the figures; Debian's package is "
                       "gnuplot-nox");
    return failed == 0 ? ST_OK : err_set(err, ST_IO, "gnuplot: %s", strerror(failed));
}

/* gnuplot's last word that is not blank. */
static enum status gnuplot_failed(const char *folder, struct err *err)
{
    char *path = mem_printf("%s/gnuplot.log", folder), *text = NULL, *line, *end;
    struct err ignored = {{0}};
    size_t n = 0;
    enum status st;

    if (whole_file_read(&text, &n, path, MAX_LOG_BYTES, &ignored) != ST_OK)
        text = mem_strdup("");
    for (end = text + strlen(text); end > text && strchr(" \r\n", end[-1]) != NULL; end--)
        ;
    *end = '\0';
    line = strrchr(text, '\n');
    st = err_set(err, ST_IO, "gnuplot failed: %.200s (%s)", line != NULL ? line + 1 : text, path);
    free(text);
    free(path);
    return st;
}

static enum status run_gnuplot(char **argv, const char *folder, struct err *err)
{
    char *log = mem_printf("%s/gnuplot.log", folder);
    enum status st;
    int how = 0;
    pid_t pid;

    st = spawn_gnuplot(argv, folder, &pid, err);
    if (st == ST_OK) {
        while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
            ;
        if (!WIFEXITED(how) || WEXITSTATUS(how) != 0)
            st = gnuplot_failed(folder, err);
    }
    if (st == ST_OK)
        unlink(log);
    free(log);
    return st;
}

enum status report_plots_draw(const struct report_run *run, const char *dir, struct err *err)
{
    uint32_t n_charts = run->s->e->n_studies * REPORT_CHARTS, n = 0;
    char **argv = mem_array(n_charts + 2, sizeof *argv);
    char *folder = mem_printf("%s/plots", dir);
    enum status st = ST_OK;

    argv[n++] = mem_strdup("gnuplot");
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        st = err_set(err, ST_IO, "%s: %s", folder, strerror(errno));
    for (uint32_t i = 0; st == ST_OK && i < n_charts; i++) {
        const struct chart *c = &run->charts[i / REPORT_CHARTS].chart[i % REPORT_CHARTS];
        if (!chart_has_values(c))
            continue;
        st = write_script(c, folder, err);
        argv[n++] = mem_printf("%s.gp", c->stem);
    }
    if (st == ST_OK && n > 1)
        st = run_gnuplot(argv, folder, err);
    for (uint32_t i = 0; i < n; i++)
        free(argv[i]);
    free(argv);
    free(folder);
    return st;
}

char *report_plots_svg(const char *dir, const struct chart *chart)
{
    char *path = mem_printf("%s/plots/%s.svg", dir, chart->stem), *text = NULL, *svg = NULL;
    struct err ignored = {{0}};
    size_t n = 0;

    if (chart_has_values(chart) &&
        whole_file_read(&text, &n, path, MAX_SVG_BYTES, &ignored) == ST_OK) {
        const char *begin = strstr(text, "<svg");
        svg = begin != NULL ? mem_strdup(begin) : NULL;
    }
    free(text);
    free(path);
    return svg;
}
