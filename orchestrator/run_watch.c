#include "orchestrator/run_watch.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include <jansson.h>

#include "common/clock.h"
#include "orchestrator/live_view.h"
#include "orchestrator/tables.h"

static const uint64_t DRAW_NS = 200000000; /* as fast as one reads */

void run_watch_begin(struct run_watch *w, const char *name, uint32_t n_trials, uint32_t n_places)
{
    snprintf(w->name, sizeof w->name, "%s", name);
    w->n_trials = n_trials;
    w->n_places = n_places;
    w->begin_ns = clock_now_ns();
    for (uint32_t i = 0; i < n_places; i++) {
        w->place[i].share = -1;
        w->place[i].since_ns = w->begin_ns;
        snprintf(w->place[i].words, sizeof w->place[i].words, "starting");
    }
    if (w->events != NULL)
        event_stream_put(w->events, "run",
                         json_pack("{s:s, s:i, s:i}", "name", w->name, "trials", (int)n_trials,
                                   "places", (int)n_places));
}

void run_watch_duration(double seconds, char *buf, size_t size)
{
    unsigned s = seconds < 1e6 ? (unsigned)(seconds + 0.5) : 999999;

    if (s < 60)
        snprintf(buf, size, "%us", s);
    else if (s < 3600)
        snprintf(buf, size, "%um%02us", s / 60, s % 60);
    else
        snprintf(buf, size, "%uh%02um", s / 3600, s / 60 % 60);
}

double run_watch_left_s(const struct run_watch *w, uint64_t now_ns)
{
    double elapsed = (double)(now_ns - w->begin_ns) * 1e-9;

    return w->n_done > 0 ? elapsed / w->n_done * (w->n_trials - w->n_done) : -1;
}

/* ---- the view ---- */

void run_watch_clear(struct run_watch *w)
{
    if (w->mode == WATCH_VIEW)
        live_view_clear(w);
}

static void draw(struct run_watch *w)
{
    if (w->mode != WATCH_VIEW)
        return;
    w->drawn_ns = clock_now_ns();
    memory_room_ask(&w->room);
    live_view_draw(w);
}

void run_watch_tick(struct run_watch *w)
{
    if (w->mode == WATCH_VIEW && clock_now_ns() - w->drawn_ns >= DRAW_NS)
        draw(w);
}

/* Of words that belong to a place. */
static void print_place(const struct run_watch *w, uint32_t place)
{
    if (w->n_places > 1)
        fprintf(w->to, "place %u: ", place + 1);
}

static void print_count(const struct run_watch *w)
{
    fprintf(w->to, "%u/%u ", w->n_done + (w->n_done < w->n_trials), w->n_trials);
}

/* ---- events ---- */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* JSON is UTF-8; words may name a path that is not. */
static json_t *words_or_null(const char *words)
{
    json_t *value = words != NULL ? json_string(words) : json_null();

    return value != NULL ? value : json_string("(not UTF-8)");
}

static const char *const work_words[] = {"start", "prefill", "warm-up", "trial", "end"};

static void put_phase(struct run_watch *w, uint32_t place, const struct trial *t)
{
    enum watch_work work = w->place[place].work;
    json_t *json;

    if (w->events == NULL)
        return;
    json = json_pack("{s:i, s:s}", "place", (int)place + 1, "phase", work_words[work]);
    if (t != NULL) {
        json_object_set_new(json, "document", json_integer(t->document));
        json_object_set_new(json, "prefill", json_integer(t->setting.prefill));
    }
    if (t != NULL && work != WATCH_PREFILLS)
        json_object_set_new(json, "method", json_string(method_name(t->method)));
    if (t != NULL && work == WATCH_DECODES) {
        json_object_set_new(json, "seed", json_integer((json_int_t)t->seed));
        json_object_set_new(json, "trial", json_integer(t->number));
    }
    event_stream_put(w->events, "phase", json);
}

static void put_trial(struct run_watch *w, uint32_t place, const struct result *r)
{
    if (w->events == NULL)
        return;
    event_stream_put(w->events, "trial",
                     json_pack("{s:i, s:i, s:s, s:s, s:o, s:o, s:o, s:i, s:i, s:i}", "place",
                               (int)place + 1, "trial", (int)r->trial, "method",
                               method_name(r->method), "status", r->ok ? "ok" : "failed", "reason",
                               words_or_null(r->reason), "tok_per_s", number(result_tok_per_s(r)),
                               "accepted", number(result_accepted(r)), "done", (int)w->n_done,
                               "failed", (int)w->n_failed, "trials", (int)w->n_trials));
}

/* ---- what the places report ---- */

static void describe(struct run_watch_place *p, const struct trial *t)
{
    if (p->work == WATCH_PREFILLS)
        snprintf(p->words, sizeof p->words, "prefill, document %u, %u tokens", t->document + 1,
                 t->setting.prefill);
    else if (p->work == WATCH_WARMS_UP)
        snprintf(p->words, sizeof p->words, "warm-up of %s", method_name(t->method));
    else if (p->work == WATCH_DECODES)
        snprintf(p->words, sizeof p->words, "%s, %u tokens, seed %llu", method_name(t->method),
                 t->setting.prefill, (unsigned long long)t->seed);
    else
        snprintf(p->words, sizeof p->words, "%s", p->work == WATCH_ENDED ? "ended" : "starting");
}

void run_watch_phase(struct run_watch *w, uint32_t place, enum watch_work work,
                     const struct trial *t)
{
    struct run_watch_place *p = &w->place[place];

    p->work = work;
    p->share = -1;
    p->since_ns = clock_now_ns();
    describe(p, t);
    put_phase(w, place, t);
    if (w->mode == WATCH_LINES && t != NULL) {
        print_count(w);
        print_place(w, place);
        fprintf(w->to, "%s\n", p->words);
    }
    draw(w);
}

void run_watch_share(struct run_watch *w, uint32_t place, uint64_t done, uint64_t total)
{
    bool is_known = total > 0 && done <= total;

    w->place[place].share = is_known ? (double)done / (double)total : -1;
    if (w->events != NULL && is_known)
        event_stream_put(w->events, "progress",
                         json_pack("{s:i, s:I, s:I}", "place", (int)place + 1, "done",
                                   (json_int_t)done, "total", (json_int_t)total));
    run_watch_tick(w);
}

static void take_last(struct run_watch *w, uint32_t place, const struct result *r)
{
    struct run_watch_last *last = &w->place[place].last;
    double link_bytes = r->meas.decode_s * w->link_gbps * 1e9;

    if (!r->ok)
        return;
    last->is_known = true;
    last->tok_per_s = result_tok_per_s(r);
    last->accepted = result_accepted(r);
    last->link_share = link_bytes > 0 ? (double)r->meas.link_bytes / link_bytes : NAN;
    last->arena_share =
        w->arena_bytes > 0 ? (double)r->meas.arena_used / (double)w->arena_bytes : NAN;
}

void run_watch_trial(struct run_watch *w, uint32_t place, const struct result *r)
{
    w->n_done++;
    w->n_failed += !r->ok;
    if (place < w->n_places)
        take_last(w, place, r);
    put_trial(w, place, r);
    if (w->results == NULL)
        return;
    run_watch_clear(w);
    tables_trial(w->results, r);
    fflush(w->results);
    draw(w);
}

void run_watch_notice(struct run_watch *w, uint32_t place, const char *words)
{
    if (w->events != NULL)
        event_stream_put(
            w->events, "notice",
            json_pack("{s:i, s:o}", "place", (int)place + 1, "words", words_or_null(words)));
    run_watch_clear(w);
    fprintf(w->to, "mspeckv run: ");
    print_place(w, place);
    fprintf(w->to, "%s\n", words);
    draw(w);
}

void run_watch_processes(struct run_watch *w, uint32_t place, const pid_t pid[GROUP_MEMBERS])
{
    if (w->mode != WATCH_VIEW)
        return;
    for (int i = 0; i < GROUP_MEMBERS; i++)
        proc_sample_take(&w->place[place].proc[i], pid[i], clock_now_ns());
}

void run_watch_words(struct run_watch *w, const char *fmt, ...)
{
    char words[WATCH_WORDS];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    if (w->events != NULL)
        event_stream_put(w->events, "notice",
                         json_pack("{s:n, s:o}", "place", "words", words_or_null(words)));
    if (w->n_places > 0 && w->mode == WATCH_VIEW) {
        snprintf(w->place[0].words, sizeof w->place[0].words, "%s", words);
        w->place[0].since_ns = clock_now_ns();
    }
    if (w->mode == WATCH_LINES) {
        print_count(w);
        fprintf(w->to, "%s\n", words);
    }
    draw(w);
}

void run_watch_end(struct run_watch *w, const char *status, const char *reason, const char *folder)
{
    if (w->events != NULL)
        event_stream_put(w->events, "end",
                         json_pack("{s:s, s:o, s:o}", "status", status, "reason",
                                   words_or_null(reason), "folder", words_or_null(folder)));
}
