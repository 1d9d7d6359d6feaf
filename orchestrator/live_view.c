#include "orchestrator/live_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"

enum { BAR = 10, WIDE_BAR = 24, HEAD_LINES = 2, PLACE_LINES = 3 };

/* Lines that are cut at the terminal's width. */
struct page {
    char *buf;
    size_t n;
    uint32_t columns, n_lines;
};

static void add_line(struct page *page, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_line(struct page *page, const char *fmt, ...)
{
    char line[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    /* Any other character would break the count of columns. */
    for (char *c = line; *c != '\0'; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    page->n += (size_t)snprintf(page->buf + page->n, LIVE_VIEW_BYTES - page->n, "%.*s\n",
                                (int)page->columns, line);
    page->n_lines++;
}

/* "[####------]"; what is not known is empty. */
static const char *bar(double share, int width, char buf[WIDE_BAR + 3])
{
    double known = isfinite(share) ? fmin(fmax(share, 0), 1) : 0;
    int n = (int)(known * width + 0.5);

    buf[0] = '[';
    for (int i = 0; i < width; i++)
        buf[1 + i] = i < n ? '#' : '-';
    buf[1 + width] = ']';
    buf[2 + width] = '\0';
    return buf;
}

static void add_matrix(struct page *page, const struct run_watch *w, uint64_t now_ns)
{
    double share = w->n_trials > 0 ? (double)w->n_done / w->n_trials : 0;
    double left_s = run_watch_left_s(w, now_ns);
    char text[WIDE_BAR + 3], eta[32] = "", failed[32] = "", time[16];

    if (left_s >= 0) {
        run_watch_duration(left_s, time, sizeof time);
        snprintf(eta, sizeof eta, "  ETA %s", time);
    }
    if (w->n_failed > 0)
        snprintf(failed, sizeof failed, "  %u failed", w->n_failed);
    add_line(page, "%-16.16s %s %u/%u%s%s", w->name, bar(share, WIDE_BAR, text), w->n_done,
             w->n_trials, eta, failed);
}

static void add_memory(struct page *page, const struct run_watch *w)
{
    const struct memory_room *room = &w->room;
    bool is_limited = room->limit_bytes < room->total_bytes;
    uint64_t all = is_limited ? room->limit_bytes : room->total_bytes;
    uint64_t left = memory_room_free(room);
    char text[WIDE_BAR + 3];

    if (all == UINT64_MAX || left > all) {
        add_line(page, "%-16s not known", "memory");
        return;
    }
    add_line(page, "%-16s %s %.1f of %.1f GB%s", "memory",
             bar((double)(all - left) / (double)all, WIDE_BAR, text), (double)(all - left) * 1e-9,
             (double)all * 1e-9, is_limited ? " of the control group" : "");
}

/* "place 1  mspeckv, 4096 tokens, seed 1  12s" */
static void add_work(struct page *page, const struct run_watch *w, uint32_t i, uint64_t now_ns)
{
    const struct run_watch_place *p = &w->place[i];
    char time[16], name[24] = "";

    if (w->n_places > 1)
        snprintf(name, sizeof name, "place %u", i + 1);
    run_watch_duration((double)(now_ns - p->since_ns) * 1e-9, time, sizeof time);
    if (p->share >= 0)
        add_line(page, "%-8s %s %.0f%%", name, p->words, 100 * p->share);
    else
        add_line(page, "%-8s %s %s", name, p->words, time);
}

/* A figure that is not known is "-". */
static const char *figure(double x, int decimals, char buf[24])
{
    if (isfinite(x))
        snprintf(buf, 24, "%.*f", decimals, x);
    else
        snprintf(buf, 24, "-");
    return buf;
}

static void add_last(struct page *page, const struct run_watch_place *p)
{
    char speed[24], accepted[24], link[WIDE_BAR + 3], arena[WIDE_BAR + 3];

    if (!p->last.is_known) {
        add_line(page, "%-8s no trial has ended yet", "");
        return;
    }
    add_line(page, "%-8s %s tok/s  accepted %s  link %s  arena %s", "",
             figure(p->last.tok_per_s, 1, speed), figure(p->last.accepted, 2, accepted),
             isfinite(p->last.link_share) ? bar(p->last.link_share, BAR, link) : "none",
             bar(p->last.arena_share, BAR, arena));
}

static void add_processes(struct page *page, const struct run_watch_place *p)
{
    static const char *const names[GROUP_MEMBERS] = {"store", "verify", "draft"};
    char text[160] = "";
    size_t n = 0;

    for (int i = 0; i < GROUP_MEMBERS; i++) {
        const struct proc_sample *s = &p->proc[i];
        char cpus[16] = "";
        if (s->pid == 0)
            continue;
        if (s->cpus >= 0)
            snprintf(cpus, sizeof cpus, " %.0f%%", fmin(100 * s->cpus, 99999));
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s%s %.0f MB", n > 0 ? "  " : "",
                              names[i], proc_sample_word(s), cpus, (double)s->rss_bytes * 1e-6);
    }
    add_line(page, "%-8s %s", "", text);
}

uint32_t live_view_text(const struct run_watch *w, struct live_view_size size, uint64_t now_ns,
                        char buf[LIVE_VIEW_BYTES])
{
    /* The last column stays free: some terminals wrap when it is written. */
    uint32_t columns = size.columns < LIVE_VIEW_COLUMNS ? size.columns : LIVE_VIEW_COLUMNS;
    struct page page = {.buf = buf, .columns = columns > 1 ? columns - 1 : 1};
    uint32_t rows = size.rows > 1 ? size.rows - 1 : 1; /* and the last row for the cursor */
    bool is_full = HEAD_LINES + PLACE_LINES * w->n_places <= rows;

    buf[0] = '\0';
    add_matrix(&page, w, now_ns);
    if (rows >= HEAD_LINES)
        add_memory(&page, w);
    for (uint32_t i = 0; i < w->n_places && page.n_lines < rows; i++) {
        if (page.n_lines + 1 == rows && i + 1 < w->n_places) {
            add_line(&page, "%-8s %u more places", "", w->n_places - i);
            break;
        }
        add_work(&page, w, i, now_ns);
        if (!is_full)
            continue;
        add_last(&page, &w->place[i]);
        add_processes(&page, &w->place[i]);
    }
    return page.n_lines;
}

/* ---- on the terminal ---- */

static struct live_view_size terminal_size(FILE *to)
{
    struct winsize size = {.ws_row = 0};
    bool is_known = ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

    return is_known ? (struct live_view_size){size.ws_col, size.ws_row}
                    : (struct live_view_size){LIVE_VIEW_COLUMNS, LIVE_VIEW_ROWS};
}

/* To the first line of what stands there. */
static size_t go_up(const struct run_watch *w, char *buf, size_t size)
{
    if (w->n_drawn == 0)
        return 0;
    return (size_t)snprintf(buf, size, "\r\033[%uA", w->n_drawn);
}

void live_view_draw(struct run_watch *w)
{
    static const char hide[] = "\033[?25l", show[] = "\033[J\033[?25h", end[] = "\033[K\n";
    char text[LIVE_VIEW_BYTES], out[LIVE_VIEW_BYTES + 1024];
    uint32_t n_lines = live_view_text(w, terminal_size(w->to), clock_now_ns(), text);
    size_t n = (size_t)snprintf(out, sizeof out, "%s", hide);

    n += go_up(w, out + n, sizeof out - n);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s%s", (int)strcspn(line, "\n"), line,
                              end);
    n += (size_t)snprintf(out + n, sizeof out - n, "%s", show);
    fwrite(out, 1, n, w->to);
    fflush(w->to);
    w->n_drawn = n_lines;
}

void live_view_clear(struct run_watch *w)
{
    char out[64];
    size_t n = go_up(w, out, sizeof out);

    if (n == 0)
        return;
    n += (size_t)snprintf(out + n, sizeof out - n, "\033[J");
    fwrite(out, 1, n, w->to);
    fflush(w->to);
    w->n_drawn = 0;
}
