/*
 * timeline.h - what every timeline must hold to, for tests that load one.
 * `events` is its array traceEvents.
 */
#ifndef TESTS_SYSTEM_TIMELINE_H
#define TESTS_SYSTEM_TIMELINE_H

#include <jansson.h>

#include "tests/test_helpers.h"

enum { TIMELINE_MAX_FLOWS = 1 << 14 };

static inline const char *timeline_text(const json_t *e, const char *key)
{
    const char *value = json_string_value(json_object_get(e, key));

    return value != NULL ? value : "";
}

static inline int64_t timeline_number(const json_t *e, const char *key)
{
    return json_integer_value(json_object_get(e, key));
}

static inline double timeline_real(const json_t *e, const char *key)
{
    const json_t *value = json_object_get(e, key);

    if (!json_is_real(value))
        fail_msg("'%s' of an event '%s' is no time", key, timeline_text(e, "name"));
    return json_real_value(value);
}

static inline bool timeline_is(const json_t *e, const char *ph, const char *name)
{
    return strcmp(timeline_text(e, "ph"), ph) == 0 &&
           (name == NULL || strcmp(timeline_text(e, "name"), name) == 0);
}

static inline int timeline_count(const json_t *events, const char *ph, const char *name)
{
    size_t i;
    json_t *e;
    int n = 0;

    json_array_foreach(events, i, e) n += timeline_is(e, ph, name);
    return n;
}

/* Of the k-th process of that name, from 1; 0: there are fewer. */
static inline int64_t timeline_pid(const json_t *events, const char *process, int k)
{
    size_t i;
    json_t *e;

    json_array_foreach(
        events, i, e) if (timeline_is(e, "M", "process_name") &&
                          strcmp(timeline_text(json_object_get(e, "args"), "name"), process) == 0 &&
                          --k == 0) return timeline_number(e, "pid");
    return 0;
}

/* Every event of a form that the format has, and between first and last. */
static inline void timeline_check_events(const json_t *events, double length_us)
{
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        assert_true(timeline_number(e, "pid") >= 1);
        assert_true(json_is_integer(json_object_get(e, "tid")));
        if (timeline_is(e, "M", NULL))
            continue;
        assert_true(timeline_is(e, "X", NULL) || timeline_is(e, "s", NULL) ||
                    timeline_is(e, "f", NULL) || timeline_is(e, "C", NULL));
        assert_true(timeline_real(e, "ts") >= 0 && timeline_real(e, "ts") <= length_us);
        if (timeline_is(e, "X", NULL))
            assert_true(timeline_real(e, "dur") >= 0 &&
                        timeline_real(e, "ts") + timeline_real(e, "dur") <= length_us + 1);
    }
}

/* Every arrow has two ends, in two processes, the send first. */
static inline int timeline_check_arrows(const json_t *events)
{
    static const json_t *from[TIMELINE_MAX_FLOWS], *to[TIMELINE_MAX_FLOWS];
    size_t i;
    json_t *e;
    int n = 0;

    memset(from, 0, sizeof from);
    memset(to, 0, sizeof to);
    json_array_foreach(events, i, e)
    {
        const json_t **end = timeline_is(e, "s", NULL) ? from : to;
        int64_t id = timeline_number(e, "id");
        if (!timeline_is(e, "s", NULL) && !timeline_is(e, "f", NULL))
            continue;
        assert_true(id >= 1 && id < TIMELINE_MAX_FLOWS);
        assert_null(end[id]);
        end[id] = e;
    }
    for (int id = 1; id < TIMELINE_MAX_FLOWS; id++) {
        assert_true((from[id] == NULL) == (to[id] == NULL));
        if (from[id] == NULL)
            continue;
        n++;
        assert_true(timeline_real(from[id], "ts") <= timeline_real(to[id], "ts"));
        assert_string_equal(timeline_text(from[id], "name"), timeline_text(to[id], "name"));
        assert_int_not_equal(timeline_number(from[id], "pid"), timeline_number(to[id], "pid"));
    }
    return n;
}

/* Spans of one thread lie within each other or apart; `slack_us` for rounding. */
static inline void timeline_check_nesting(const json_t *events, int64_t pid, int64_t tid)
{
    const double slack_us = 0.002;
    double end[64];
    int depth = 0;
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        if (!timeline_is(e, "X", NULL) || timeline_number(e, "pid") != pid ||
            timeline_number(e, "tid") != tid)
            continue;
        while (depth > 0 && end[depth - 1] <= timeline_real(e, "ts") + slack_us)
            depth--;
        if (depth > 0 &&
            timeline_real(e, "ts") + timeline_real(e, "dur") > end[depth - 1] + slack_us)
            fail_msg("'%s' at %.3f does not lie in the span around it", timeline_text(e, "name"),
                     timeline_real(e, "ts"));
        assert_true(depth < 64);
        end[depth++] = timeline_real(e, "ts") + timeline_real(e, "dur");
    }
}

#endif
