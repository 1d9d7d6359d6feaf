#include "text/demo_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/demo_words.h"

#define LINE_ATTRIBUTES 8  /* of a register on one line, behind the barge's name */
#define MAX_LIVE        40 /* barges that may still be read out */
#define MAX_READS       4  /* then a barge is not called again; bounds the copies of a fact */
#define NOBODY          UINT32_MAX

struct barge {
    uint32_t name;                                    /* < DEMO_NAMES */
    uint32_t n_reads;                                 /* <= MAX_READS */
    uint8_t value[DEMO_ATTRIBUTES][DEMO_VALUE_PARTS]; /* indices into the parts' pools */
};

struct demo_text {
    uint64_t rng;
    uint32_t n_attributes;
    uint8_t attribute[DEMO_ATTRIBUTES]; /* [n_attributes], ascending */

    struct barge live[MAX_LIVE]; /* [n_live], the longest unmentioned first */
    uint32_t n_live;
    uint32_t fresh_names[DEMO_NAMES]; /* ring: taken at the front, retired ones join the end */
    uint32_t fresh_first, n_fresh;
    uint32_t n_sections;
    uint32_t next; /* name of the barge the next section reads out; NOBODY: a newcomer */

    char *bytes; /* [cap_bytes] */
    size_t n_bytes, cap_bytes;
    struct demo_text_span *spans; /* [cap_spans] */
    size_t n_spans, cap_spans;
};

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t rng_next(struct demo_text *t)
{
    uint64_t z = (t->rng += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 to n - 1; the bias of at most n / 2^32 does not matter here. */
static uint32_t rng_below(struct demo_text *t, uint32_t n)
{
    return (uint32_t)(((rng_next(t) >> 32) * n) >> 32);
}

static bool rng_percent(struct demo_text *t, uint32_t percent)
{
    return rng_below(t, 100) < percent;
}

static void put(struct demo_text *t, const char *s)
{
    size_t n = strlen(s);
    if (t->n_bytes + n + 1 > t->cap_bytes) {
        t->cap_bytes = (t->n_bytes + n + 1) * 2;
        t->bytes = mem_resize(t->bytes, t->cap_bytes, 1);
    }
    memcpy(t->bytes + t->n_bytes, s, n + 1);
    t->n_bytes += n;
}

static void put_name(struct demo_text *t, uint32_t name)
{
    put(t, " ");
    put(t, demo_name_heads[name / DEMO_NAME_TAILS]);
    put(t, demo_name_tails[name % DEMO_NAME_TAILS]);
}

static void mark_recalled(struct demo_text *t, size_t begin)
{
    if (t->n_spans == t->cap_spans) {
        t->cap_spans = t->cap_spans ? t->cap_spans * 2 : 64;
        t->spans = mem_resize(t->spans, t->cap_spans, sizeof *t->spans);
    }
    t->spans[t->n_spans++] = (struct demo_text_span){begin, t->n_bytes};
}

static void put_value(struct demo_text *t, const struct barge *b, uint32_t attribute)
{
    for (uint32_t i = 0; i < DEMO_VALUE_PARTS; i++) {
        enum demo_pool pool = demo_attributes[attribute].parts[i];
        uint32_t index = b->value[attribute][i];
        const char *word = demo_pool_word(pool, index);
        char number[3] = {(char)('1' + index / 10), (char)('0' + index % 10), 0};

        if (pool == DEMO_POOL_NONE)
            return;
        put(t, " ");
        put(t, word ? word : number);
    }
}

static void put_register(struct demo_text *t, const struct barge *b, bool recalled)
{
    for (uint32_t i = 0; i < t->n_attributes; i++) {
        uint32_t attribute = t->attribute[i];
        size_t begin;

        if (i % LINE_ATTRIBUTES == 0) {
            put(t, "The");
            put_name(t, b->name);
            put(t, ":");
        }
        put(t, " ");
        put(t, demo_attributes[attribute].word);
        begin = t->n_bytes;
        put_value(t, b, attribute);
        if (recalled)
            mark_recalled(t, begin);
        put(t, (i + 1) % LINE_ATTRIBUTES && i + 1 < t->n_attributes ? "," : ".\n");
    }
}

static void put_weather(struct demo_text *t)
{
    static const char *const weather[] = {"Fog over", "Rain on", "Frost at", "A calm day by"};
    static const char *const side[] = {"north", "south", "east", "west"};

    if (!rng_percent(t, 35))
        return;
    put(t, weather[rng_below(t, 4)]);
    put(t, " the ");
    put(t, side[rng_below(t, 4)]);
    put(t, " lock. ");
}

static void put_heading(struct demo_text *t, uint32_t name, bool arrives)
{
    static const char *const arrival[] = {"At noon came the", "Through the gates came the",
                                          "Late at dusk came the"};
    static const char *const reading[] = {"The clerk read out the", "The keeper called the",
                                          "From the book, the"};
    put_weather(t);
    put(t, arrives ? arrival[rng_below(t, 3)] : reading[rng_below(t, 3)]);
    put_name(t, name);
    if (t->next == NOBODY) {
        put(t, ", next a newcomer.\n");
        return;
    }
    put(t, ", next the");
    put_name(t, t->next);
    put(t, ".\n");
}

static uint32_t live_index(const struct demo_text *t, uint32_t name)
{
    uint32_t i = 0;
    while (i < t->n_live && t->live[i].name != name)
        i++;
    CHECK(i < t->n_live);
    return i;
}

/* The first name of the ring, so that a retired barge's name comes back only
 * after all others have been used. */
static struct barge enter_barge(struct demo_text *t)
{
    struct barge *b = &t->live[t->n_live++];

    CHECK(t->n_live <= MAX_LIVE && t->n_fresh > 0);
    *b = (struct barge){.name = t->fresh_names[t->fresh_first]};
    t->fresh_first = (t->fresh_first + 1) % DEMO_NAMES;
    t->n_fresh--;
    for (uint32_t a = 0; a < DEMO_ATTRIBUTES; a++) {
        for (uint32_t i = 0; i < DEMO_VALUE_PARTS; i++)
            b->value[a][i] = (uint8_t)rng_below(t, demo_pool_size(demo_attributes[a].parts[i]));
    }
    return *b;
}

/* Takes a barge out of the order; what is left keeps it. */
static void remove_barge(struct demo_text *t, uint32_t index)
{
    t->n_live--;
    memmove(&t->live[index], &t->live[index + 1], (t->n_live - index) * sizeof t->live[0]);
}

/* Counts a reading of the barge and returns it: newest in the order, or gone
 * from it after the last reading. */
static struct barge read_barge(struct demo_text *t, uint32_t index)
{
    struct barge b = t->live[index];

    b.n_reads++;
    remove_barge(t, index);
    if (b.n_reads < MAX_READS) {
        t->live[t->n_live++] = b;
    } else {
        t->fresh_names[(t->fresh_first + t->n_fresh) % DEMO_NAMES] = b.name;
        t->n_fresh++;
    }
    return b;
}

/* Whom the next section reads out. The number of live barges grows with the
 * log, and only the half that was longest unmentioned is called, so that facts
 * lie the farther back the longer the log is. The newest is never called: it
 * is this section's own. */
static uint32_t choose_next(struct demo_text *t)
{
    uint32_t wanted = 3 + t->n_sections / 7;

    if (wanted > MAX_LIVE)
        wanted = MAX_LIVE;
    if (t->n_live < 2 || (t->n_live < wanted && rng_percent(t, 50)) ||
        (t->n_live < MAX_LIVE && rng_percent(t, 8)))
        return NOBODY;
    return t->live[rng_below(t, t->n_live / 2)].name;
}

static void put_section(struct demo_text *t)
{
    bool arrives = t->next == NOBODY;
    struct barge told = arrives ? enter_barge(t) : read_barge(t, live_index(t, t->next));

    t->n_sections++;
    t->next = choose_next(t);
    put_heading(t, told.name, arrives);
    put_register(t, &told, !arrives);
}

static void choose_attributes(struct demo_text *t, uint32_t n)
{
    uint32_t left = n;

    t->n_attributes = n;
    for (uint32_t a = 0; a < DEMO_ATTRIBUTES; a++) {
        if (rng_below(t, DEMO_ATTRIBUTES - a) < left)
            t->attribute[n - left--] = (uint8_t)a;
    }
}

static void shuffle_names(struct demo_text *t)
{
    for (uint32_t i = 0; i < DEMO_NAMES; i++) {
        uint32_t j = rng_below(t, i + 1);
        t->fresh_names[i] = t->fresh_names[j];
        t->fresh_names[j] = i;
    }
    t->n_fresh = DEMO_NAMES;
}

enum status demo_text_open(struct demo_text **out, const struct demo_text_options *options,
                           struct err *err)
{
    uint32_t n = options->n_attributes ? options->n_attributes : DEMO_ATTRIBUTES;
    struct demo_text *t;

    if (n > DEMO_ATTRIBUTES)
        return err_set(err, ST_INVALID, "a demo register has at most %d attributes, not %u",
                       DEMO_ATTRIBUTES, n);
    t = mem_zalloc(sizeof *t);
    t->rng = options->seed;
    t->next = NOBODY;
    choose_attributes(t, n);
    shuffle_names(t);
    put(t, "");
    *out = t;
    return ST_OK;
}

void demo_text_close(struct demo_text *text)
{
    if (!text)
        return;
    free(text->spans);
    free(text->bytes);
    free(text);
}

void demo_text_grow(struct demo_text *text, size_t n_bytes)
{
    while (text->n_bytes < n_bytes)
        put_section(text);
}

enum status demo_text_grow_tokens(struct demo_text *text, size_t n_tokens,
                                  demo_text_count_fn *count, void *ctx, size_t *out_tokens,
                                  struct err *err)
{
    size_t have = 0;

    /* 4 bytes a token is a low guess for the demo tokenizer; later rounds
     * extrapolate from the count, a little beyond the mark. */
    demo_text_grow(text, n_tokens * 4);
    for (int round = 0; round < 32; round++) {
        enum status st = count(ctx, text->bytes, text->n_bytes, &have, err);
        if (st != ST_OK)
            return err_in(err, st, "counting the demo text's tokens");
        if (have >= n_tokens) {
            *out_tokens = have;
            return ST_OK;
        }
        if (have == 0)
            break;
        demo_text_grow(text, text->n_bytes + 64 + (n_tokens - have) * (text->n_bytes / have + 1));
    }
    return err_set(err, ST_INVALID, "the tokenizer finds %zu tokens in %zu bytes of demo text",
                   have, text->n_bytes);
}

const char *demo_text_bytes(const struct demo_text *text, size_t *out_bytes)
{
    *out_bytes = text->n_bytes;
    return text->bytes;
}

const struct demo_text_span *demo_text_recalled(const struct demo_text *text, size_t *out_spans)
{
    *out_spans = text->n_spans;
    return text->spans;
}
