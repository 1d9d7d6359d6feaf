#include "orchestrator/progress.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "common/clock.h"

void progress_init(struct progress *p, FILE *to, bool is_terminal, uint32_t n_cells)
{
    *p = (struct progress){.to = to,
                           .is_terminal = is_terminal,
                           .n_cells = n_cells,
                           .begin_ns = clock_now_ns(),
                           .share = -1};
    p->phase_ns = p->begin_ns;
}

void progress_phase(struct progress *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(p->phase, sizeof p->phase, fmt, args);
    va_end(args);
    p->share = -1;
    p->phase_ns = clock_now_ns();
    if (p->is_terminal)
        progress_draw(p);
    else
        fprintf(p->to, "%u/%u %s\n", p->n_done + (p->n_done < p->n_cells), p->n_cells, p->phase);
}

void progress_share(struct progress *p, uint64_t done, uint64_t total)
{
    p->share = total > 0 && done <= total ? (double)done / (double)total : -1;
    progress_draw(p);
}

void progress_cell_done(struct progress *p, double tok_per_s)
{
    p->n_done++;
    if (isfinite(tok_per_s))
        p->tok_per_s = tok_per_s;
}

static void duration(double seconds, char *buf, size_t size)
{
    unsigned s = seconds < 1e6 ? (unsigned)(seconds + 0.5) : 999999;

    if (s < 60)
        snprintf(buf, size, "%us", s);
    else if (s < 3600)
        snprintf(buf, size, "%um%02us", s / 60, s % 60);
    else
        snprintf(buf, size, "%uh%02um", s / 3600, s / 60 % 60);
}

void progress_text(const struct progress *p, uint64_t now_ns, char buf[PROGRESS_COLUMNS])
{
    double elapsed = (double)(now_ns - p->begin_ns) * 1e-9;
    char rate[24] = "", eta[32] = "", phase[PROGRESS_WORDS + 24], time[16];

    if (p->tok_per_s > 0)
        snprintf(rate, sizeof rate, ", %.1f tok/s", p->tok_per_s);
    if (p->n_done > 0) {
        duration(elapsed / p->n_done * (p->n_cells - p->n_done), time, sizeof time);
        snprintf(eta, sizeof eta, ", ETA %s", time);
    }
    duration((double)(now_ns - p->phase_ns) * 1e-9, time, sizeof time);
    if (p->share >= 0)
        snprintf(phase, sizeof phase, "%s %.0f%%", p->phase, 100 * p->share);
    else
        snprintf(phase, sizeof phase, "%s %s", p->phase, time);
    snprintf(buf, PROGRESS_COLUMNS, "cell %u/%u: %.44s%s%s", p->n_done + (p->n_done < p->n_cells),
             p->n_cells, phase, rate, eta);
}

void progress_draw(struct progress *p)
{
    char line[PROGRESS_COLUMNS];

    if (!p->is_terminal)
        return;
    progress_text(p, clock_now_ns(), line);
    fprintf(p->to, "\r%s\033[K", line);
    fflush(p->to);
    p->is_drawn = true;
}

void progress_clear(struct progress *p)
{
    if (p->is_drawn)
        fputs("\r\033[K", p->to);
    fflush(p->to);
    p->is_drawn = false;
}
