#include "orchestrator/heading.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/replay_plan.h"

/* Appends at the end of a text of `size` bytes; what does not fit is cut. */
__attribute__((format(printf, 3, 4))) static void add(char *buf, size_t size, const char *fmt, ...)
{
    size_t n = strlen(buf);
    va_list args;
    va_start(args, fmt);
    vsnprintf(buf + n, size - n, fmt, args);
    va_end(args);
}

void heading_trials(const struct summary *s, char buf[HEADING_BYTES])
{
    const struct experiment *e = s->e;
    buf[0] = '\0';
    if (e->n_documents == 1)
        add(buf, HEADING_BYTES, "one document; ");
    else
        add(buf, HEADING_BYTES, "%u documents; ", e->n_documents);
    if (s->n_skipped > 0)
        add(buf, HEADING_BYTES, "%u too short, passed over; ", s->n_skipped);
    add(buf, HEADING_BYTES, e->n_seeds == 1 ? "seed" : "seeds");
    for (uint32_t i = 0; i < e->n_seeds && i < 8; i++)
        add(buf, HEADING_BYTES, "%s %" PRIu64, i > 0 ? "," : "", e->seed[i]);
    if (e->n_seeds > 8)
        add(buf, HEADING_BYTES, ", ... (%u)", e->n_seeds);
    if (s->link_gbps > 0)
        add(buf, HEADING_BYTES, "; simulated link %.3g GB/s", s->link_gbps);
    if (s->device_link_gbps > 0)
        add(buf, HEADING_BYTES, "; PCIe link %.3g GB/s (measured)", s->device_link_gbps);
    if (s->random_weights)
        add(buf, HEADING_BYTES, "; random weights");
    if (replay_plan_any(e))
        add(buf, HEADING_BYTES, "; replayed acceptance");
}

static bool is_swept(const struct study *study, const char *key)
{
    for (uint32_t i = 0; i < study->n_sweeps; i++)
        if (strcmp(study->sweep[i].key, key) == 0)
            return true;
    return false;
}

void heading_fixed(const struct study *study, char buf[HEADING_BYTES])
{
    const char *between = "";
    buf[0] = '\0';
    for (size_t i = 0; i < SETTING_KEYS; i++) {
        const struct setting_key *key = &setting_keys[i];
        double value = setting_get(&study->fixed, key);
        if (is_swept(study, key->key) || key->kind == SETTING_BOOL)
            continue;
        if (strcmp(key->key, "staging_layers") == 0 && value == 0)
            continue;
        if (strcmp(key->key, "kv_format") == 0)
            add(buf, HEADING_BYTES, "%skv_format %s", between,
                setting_format_name((uint32_t)value));
        else if (strcmp(key->key, "acceptance") == 0)
            add(buf, HEADING_BYTES, "%s%s", between, setting_acceptance_name((uint32_t)value));
        else
            add(buf, HEADING_BYTES, "%s%s %g", between, key->key, value);
        between = ", ";
    }
    if (study->replay.is_on)
        add(buf, HEADING_BYTES, "%sreplayed acceptance", between);
}

void heading_point(const struct study *study, uint32_t point, char *buf, size_t size)
{
    buf[0] = '\0';
    for (uint32_t i = 0; i < study->n_sweeps; i++)
        add(buf, size, "%s%.7g", i > 0 ? "/" : "", matrix_point_value(study, point, i));
    if (study->n_sweeps == 0)
        add(buf, size, "-");
}

void heading_sweep(const struct study *study, char *buf, size_t size)
{
    buf[0] = '\0';
    for (uint32_t i = 0; i < study->n_sweeps; i++)
        add(buf, size, "%s%s", i > 0 ? "/" : "", study->sweep[i].key);
    if (study->n_sweeps == 0)
        add(buf, size, "-");
}

void heading_spread(struct spread x, int decimals, char *buf, size_t size)
{
    if (x.n == 0 || !isfinite(x.mean))
        snprintf(buf, size, "-");
    else if (!isfinite(x.std))
        snprintf(buf, size, "%.*f ± -", decimals, x.mean);
    else
        snprintf(buf, size, "%.*f ± %.*f", decimals, x.mean, decimals, x.std);
}

void heading_number(double x, char *buf, size_t size)
{
    if (isfinite(x))
        snprintf(buf, size, "%.*f", fabs(x) < 1 ? 3 : 2, x);
    else
        snprintf(buf, size, "-");
}

void heading_bytes(double bytes, char *buf, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (fabs(bytes) >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1000;
        unit++;
    }
    if (isfinite(bytes))
        snprintf(buf, size, "%.3g %s", bytes, units[unit]);
    else
        snprintf(buf, size, "-");
}
