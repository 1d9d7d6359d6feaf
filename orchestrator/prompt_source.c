#include "orchestrator/prompt_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/mem.h"
#include "orchestrator/dataset.h"
#include "orchestrator/prompt_frame.h"
#include "text/demo_text.h"

/* The last tokens of a cut text may be others than those of the whole text;
 * no token is made of this many. */
enum { CUT_TOKENS = 64, FIRST_BYTES_PER_TOKEN = 6 };

struct document {
    struct token_list list; /* its first tokens, enough for the longest prompt */
    char name[DATASET_NAME_BYTES];
};

struct prompt_source {
    struct prompt_frame frame;
    uint32_t n_documents, n_tokens, n_tokens_min, n_skipped;
    struct document *document; /* [n_documents] */
    struct token_list prompt;  /* the newest */
};

/* ---- the demo text ---- */

static enum status count_tokens(void *ctx, const char *text, size_t n_bytes, size_t *out_tokens,
                                struct err *err)
{
    struct token_list list;
    enum status st;

    token_list_init(&list);
    st = tokenizer_encode(ctx, text, n_bytes, &list, err);
    *out_tokens = list.n;
    token_list_release(&list);
    return st;
}

enum status prompt_source_demo(struct text_buf *out, const struct tokenizer *tok, uint64_t seed,
                               uint32_t n_tokens, struct err *err)
{
    struct demo_text_options options = {.seed = seed};
    struct demo_text *text = NULL;
    const char *bytes;
    size_t n = 0;
    enum status st = demo_text_open(&text, &options, err);

    if (st == ST_OK)
        st = demo_text_grow_tokens(text, n_tokens, count_tokens, (void *)(uintptr_t)tok, &n, err);
    if (st == ST_OK) {
        bytes = demo_text_bytes(text, &n);
        text_buf_add(out, bytes, n);
    }
    demo_text_close(text);
    return st;
}

static enum status demo_document(struct prompt_source *s, const struct prompt_source_args *a,
                                 uint32_t i, struct err *err)
{
    struct document *out = &s->document[i];
    struct text_buf text;
    enum status st;

    snprintf(out->name, sizeof out->name, "seed %" PRIu64, a->document_seed + i);
    text_buf_init(&text);
    st = prompt_source_demo(&text, a->tok, a->document_seed + i, a->n_tokens + CUT_TOKENS, err);
    if (st == ST_OK)
        st = prompt_frame_encode(&s->frame, text.data, text.n, &out->list, err);
    text_buf_release(&text);
    return st == ST_OK ? st : err_in(err, st, "demo text");
}

static enum status read_demo(struct prompt_source *s, const struct prompt_source_args *a,
                             struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; st == ST_OK && i < s->n_documents; i++)
        st = demo_document(s, a, i, err);
    return st;
}

/* ---- texts from files ---- */

static bool continues_character(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* The first n_wanted ids of the text, or all it has. Encodes no more of it than
 * that takes: a longer piece until it suffices. */
static enum status encode_start(struct token_list *out, const struct prompt_frame *frame,
                                const struct dataset_document *from, uint32_t n_wanted,
                                struct err *err)
{
    size_t n_bytes = ((size_t)n_wanted + CUT_TOKENS) * FIRST_BYTES_PER_TOKEN;

    for (;;) {
        size_t n = n_bytes < from->n_bytes ? n_bytes : from->n_bytes;
        enum status st;

        while (n > 0 && n < from->n_bytes && continues_character(from->text[n]))
            n--;
        out->n = 0;
        st = prompt_frame_encode(frame, from->text, n, out, err);
        if (st != ST_OK)
            return err_in(err, st, "%s", from->at);
        if (n == from->n_bytes || out->n >= n_wanted + CUT_TOKENS)
            break;
        n_bytes *= 2;
    }
    if (out->n > n_wanted)
        out->n = n_wanted;
    return ST_OK;
}

static enum status too_short(const struct prompt_source *s, const struct prompt_source_args *a,
                             const struct dataset_document *from, uint32_t i, struct err *err)
{
    bool is_text = dataset_kind_of(a->dataset, a->field) == DATASET_TEXT;
    uint32_t n_frame = prompt_frame_tokens(&s->frame);

    return err_set(err, ST_INVALID,
                   "%s: document %u of %u has %u tokens, %u of them around it, fewer than the "
                   "prefill of %u; %s would do",
                   from->at, i + 1, a->n_documents, s->document[i].list.n + n_frame, n_frame,
                   a->n_tokens,
                   is_text ? "a longer text, fewer documents or a shorter prefill"
                           : "a longer document, a shorter prefill or skip_short: true");
}

static enum status too_few(const struct prompt_source *s, const struct prompt_source_args *a,
                           uint32_t n_found, struct err *err)
{
    if (s->n_skipped > 0)
        return err_set(err, ST_INVALID,
                       "%s: %u documents for the %u asked for, and %u more that are shorter than "
                       "the prefill of %u; fewer documents or a shorter prefill would do",
                       a->dataset, n_found, a->n_documents, s->n_skipped, a->n_tokens);
    return err_set(err, ST_INVALID,
                   "%s: %u documents for the %u asked for; fewer documents would be right",
                   a->dataset, n_found, a->n_documents);
}

static enum status read_dataset(struct prompt_source *s, const struct prompt_source_args *a,
                                struct err *err)
{
    const struct dataset_args args = {a->dataset, a->field, a->n_documents};
    bool may_skip = a->skip_short && dataset_kind_of(a->dataset, a->field) != DATASET_TEXT;
    uint32_t n_wanted = s->n_tokens - prompt_frame_tokens(&s->frame), i = 0;
    struct dataset *d = NULL;
    enum status st = dataset_open(&d, &args, err);

    while (st == ST_OK && i < s->n_documents) {
        struct document *to = &s->document[i];
        struct dataset_document from;
        bool found = false;
        st = dataset_next(d, &from, &found, err);
        if (st == ST_OK && !found)
            st = too_few(s, a, i, err);
        if (st == ST_OK)
            st = encode_start(&to->list, &s->frame, &from, n_wanted, err);
        if (st != ST_OK)
            break;
        memcpy(to->name, from.name, sizeof to->name);
        if (to->list.n >= n_wanted)
            i++;
        else if (may_skip)
            s->n_skipped++;
        else
            st = too_short(s, a, &from, i, err);
    }
    dataset_close(d);
    return st;
}

/* ---- the source ---- */

static enum status open_frame(struct prompt_source *s, const struct prompt_source_args *a,
                              struct err *err)
{
    struct prompt_parts none = {.chat = NULL};
    enum status st = prompt_frame_init(&s->frame, a->tok, a->parts != NULL ? a->parts : &none, err);

    if (st == ST_OK && prompt_frame_tokens(&s->frame) >= s->n_tokens_min)
        st = err_set(err, ST_INVALID,
                     "a prefill of %u leaves no room for a document: %u tokens stand around it; "
                     "a prefill above that would be right",
                     s->n_tokens_min, prompt_frame_tokens(&s->frame));
    return st;
}

enum status prompt_source_open(struct prompt_source **out, const struct prompt_source_args *args,
                               struct err *err)
{
    struct prompt_source *s = mem_zalloc(sizeof *s);
    enum status st;

    CHECK(args->n_documents > 0 && args->n_tokens > 0 && args->n_tokens_min <= args->n_tokens);
    s->n_documents = args->n_documents;
    s->n_tokens = args->n_tokens;
    s->n_tokens_min = args->n_tokens_min > 0 ? args->n_tokens_min : args->n_tokens;
    s->document = mem_array(s->n_documents, sizeof *s->document);
    for (uint32_t i = 0; i < s->n_documents; i++)
        token_list_init(&s->document[i].list);
    token_list_init(&s->prompt);
    st = open_frame(s, args, err);
    if (st == ST_OK && dataset_kind_of(args->dataset, args->field) == DATASET_DEMO)
        st = read_demo(s, args, err);
    else if (st == ST_OK)
        st = read_dataset(s, args, err);
    if (st != ST_OK) {
        prompt_source_close(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void prompt_source_close(struct prompt_source *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->n_documents; i++)
        token_list_release(&s->document[i].list);
    free(s->document);
    token_list_release(&s->prompt);
    prompt_frame_release(&s->frame);
    free(s);
}

const int32_t *prompt_source_tokens(struct prompt_source *s, uint32_t document, uint32_t n_tokens)
{
    CHECK(document < s->n_documents && n_tokens >= s->n_tokens_min && n_tokens <= s->n_tokens);
    prompt_frame_join(&s->frame, s->document[document].list.id, n_tokens, &s->prompt);
    return s->prompt.id;
}

uint64_t prompt_source_hash(struct prompt_source *s, uint32_t document, uint32_t n_tokens)
{
    const int32_t *id = prompt_source_tokens(s, document, n_tokens);
    uint8_t *bytes = mem_array(n_tokens, 4);
    uint64_t hash;

    for (uint32_t i = 0; i < n_tokens; i++)
        for (uint32_t b = 0; b < 4; b++)
            bytes[4 * i + b] = (uint8_t)((uint32_t)id[i] >> (8 * b));
    hash = XXH3_64bits(bytes, (size_t)n_tokens * 4);
    free(bytes);
    return hash;
}

static int32_t largest_of(const struct token_list *list, int32_t largest)
{
    for (uint32_t i = 0; i < list->n; i++)
        largest = list->id[i] > largest ? list->id[i] : largest;
    return largest;
}

int32_t prompt_source_largest(const struct prompt_source *s)
{
    int32_t largest = s->frame.filler;

    largest = largest_of(&s->frame.before, largest);
    largest = largest_of(&s->frame.after, largest);
    for (uint32_t d = 0; d < s->n_documents; d++)
        largest = largest_of(&s->document[d].list, largest);
    return largest;
}

const char *prompt_source_name(const struct prompt_source *s, uint32_t document)
{
    CHECK(document < s->n_documents);
    return s->document[document].name;
}

uint32_t prompt_source_skipped(const struct prompt_source *s)
{
    return s->n_skipped;
}
