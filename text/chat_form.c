#include "text/chat_form.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "text/text_buf.h"

#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

/* Two views of a template: as it is, with the escape \n as a line break, and
 * squashed, without what may stand between two pieces of one text. */
struct source {
    char *text;
    char *squashed; /* no spaces, quotes, plus signs */
};

void chat_form_release(struct chat_form *form)
{
    free(form->system);
    free(form->system_open);
    free(form->system_close);
    free(form->user_open);
    free(form->user_close);
    *form = (struct chat_form){0};
}

static void source_init(struct source *src, const char *bytes, size_t n)
{
    size_t n_text = 0, n_squashed = 0;

    src->text = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        bool breaks = bytes[i] == '\\' && i + 1 < n && bytes[i + 1] == 'n';

        src->text[n_text++] = breaks ? '\n' : bytes[i];
        i += breaks;
    }
    src->text[n_text] = '\0';
    src->squashed = mem_alloc(n_text + 1);
    for (size_t i = 0; i < n_text; i++)
        if (strchr(" '\"+", src->text[i]) == NULL)
            src->squashed[n_squashed++] = src->text[i];
    src->squashed[n_squashed] = '\0';
}

static void source_release(struct source *src)
{
    free(src->text);
    free(src->squashed);
}

static bool holds(const struct source *src, const char *text)
{
    return strstr(src->text, text) != NULL;
}

static bool spells(const struct source *src, const char *text)
{
    return strstr(src->squashed, text) != NULL;
}

static enum status strange(const struct chat_form *form, const char *what, struct err *err)
{
    return err_set(err, ST_UNSUPPORTED,
                   "the chat template looks like %s, but %s; the published forms are known",
                   form->name, what);
}

/* The literal that opens with the quote at `at`, unescaped; NULL where it has
 * no end. The caller owns it. */
static char *read_literal(const char *at)
{
    struct text_buf out;
    const char *end = at + 1;

    text_buf_init(&out);
    for (; *end != '\0' && *end != *at; end++) {
        if (*end == '\\' && end[1] != '\0')
            end++;
        text_buf_add(&out, end, 1);
    }
    text_buf_add(&out, "", 1);
    if (*end == '\0')
        text_buf_release(&out);
    return out.data;
}

/* `name` = "literal", the last one that is not empty; NULL without one. */
static char *assigned(const struct source *src, const char *name)
{
    char *found = NULL;

    for (const char *at = strstr(src->text, name); at != NULL; at = strstr(at + 1, name)) {
        const char *value = at + strlen(name);
        char *literal;

        value += strspn(value, " ");
        if (*value++ != '=')
            continue;
        value += strspn(value, " ");
        if (*value != '"' && *value != '\'')
            continue;
        literal = read_literal(value);
        if (literal == NULL || literal[0] == '\0') {
            free(literal);
            continue;
        }
        free(found);
        found = literal;
    }
    return found;
}

/* ---- llama-2 ---- */

static enum status read_llama2(struct chat_form *form, const struct source *src, struct err *err)
{
    if (!spells(src, "<<SYS>>\n") || !spells(src, "\n<</SYS>>\n\n") || !holds(src, "[INST] ") ||
        !holds(src, " [/INST]"))
        return strange(form, "its blanks and line breaks are others", err);
    form->bos = holds(src, "bos_token");
    form->strip = holds(src, "strip()") || spells(src, "|trim");
    form->has_system = form->system_inside = true;
    form->system = assigned(src, "system_message");
    if (spells(src, "false==true")) { /* the published switch of the default text, off */
        free(form->system);
        form->system = NULL;
    }
    form->system_open = mem_strdup("<<SYS>>\n");
    form->system_close = mem_strdup("\n<</SYS>>\n\n");
    form->user_open = mem_strdup("[INST] ");
    form->user_close = mem_strdup(" [/INST]");
    return ST_OK;
}

/* ---- llama-3 ---- */

/* Llama 3.1 and later always write a system turn, and two dates before its
 * text. "Today" is the date that the template falls back to, so that a prompt
 * is the same every day. */
static enum status read_dates(struct chat_form *form, const struct source *src, struct err *err)
{
    const char *known = strstr(src->text, "Cutting Knowledge Date: ");
    char *today = assigned(src, "date_string");
    size_t n = strcspn(known, "\n'\"");
    enum status st = ST_OK;

    if (known[n] != '\n' || today == NULL || !spells(src, "TodayDate:date_string\n\n"))
        st = strange(form, "its dates are written another way", err);
    else
        form->system_open =
            mem_printf(HEADER("system") "%.*s\nToday Date: %s\n\n", (int)n, known, today);
    if (form->system == NULL)
        form->system = mem_strdup("");
    free(today);
    return st;
}

static enum status read_llama3(struct chat_form *form, const struct source *src, struct err *err)
{
    enum status st = ST_OK;

    if (!spells(src, HEADER("assistant")) || !spells(src, "<|eot_id|>"))
        return strange(form, "it does not open the assistant's turn as usual", err);
    form->bos = holds(src, "bos_token");
    form->strip = spells(src, "|trim");
    form->has_system = true;
    form->system = assigned(src, "system_message");
    if (holds(src, "Cutting Knowledge Date: "))
        st = read_dates(form, src, err);
    else
        form->system_open = mem_strdup(HEADER("system"));
    form->system_close = mem_strdup("<|eot_id|>");
    form->user_open = mem_strdup(HEADER("user"));
    form->user_close = mem_strdup("<|eot_id|>" HEADER("assistant"));
    return st;
}

/* ---- chatml ---- */

/* The text between "<|im_start|>system\n" and "<|im_end|>" inside one literal.
 * Two different ones leave doubt. */
static enum status find_default(struct chat_form *form, const struct source *src, struct err *err)
{
    static const char open[] = "<|im_start|>system\n", close[] = "<|im_end|>";
    const char *literal_end = src->text; /* no literal around `at` goes on behind it */

    for (const char *at = strstr(src->text, open); at != NULL; at = strstr(at + 1, open)) {
        const char *text = at + sizeof open - 1, *end;
        size_t n;

        if (text > literal_end)
            literal_end = text + strcspn(text, "'\"{}");
        end = memmem(text, (size_t)(literal_end - text), close, sizeof close - 1);
        if (end == NULL) { /* nor has any other up to there, so a long source takes no square */
            at = literal_end - 1;
            continue;
        }
        n = (size_t)(end - text);
        if (n == 0)
            continue;
        if (form->system != NULL && (strlen(form->system) != n || memcmp(form->system, text, n)))
            return strange(form, "it has two default system texts", err);
        if (form->system == NULL)
            form->system = text_copy(text, n);
    }
    return ST_OK;
}

static enum status read_chatml(struct chat_form *form, const struct source *src, struct err *err)
{
    bool thinks = holds(src, "<|im_start|>assistant\n<think>\n'") ||
                  holds(src, "<|im_start|>assistant\n<think>\n\"");

    if (!spells(src, "<|im_start|>assistant\n") || !spells(src, "<|im_end|>\n"))
        return strange(form, "its line breaks are others", err);
    form->bos = holds(src, "bos_token");
    form->strip = spells(src, "content]|trim") || spells(src, "content|trim");
    form->has_system = true;
    form->system = assigned(src, "system_message");
    form->system_open = mem_strdup("<|im_start|>system\n");
    form->system_close = mem_strdup("<|im_end|>\n");
    form->user_open = mem_strdup("<|im_start|>user\n");
    form->user_close =
        mem_printf("<|im_end|>\n<|im_start|>assistant\n%s", thinks ? "<think>\n" : "");
    return find_default(form, src, err);
}

/* ---- mistral ---- */

/* The literals that hold nothing but `mark` and blanks; NULL unless there is
 * one and they are all alike. The caller owns it. */
static char *literal_of(const struct source *src, const char *mark)
{
    char *found = NULL;

    for (const char *at = strstr(src->text, mark); at != NULL; at = strstr(at + 1, mark)) {
        const char *end = at + strlen(mark), *begin = at;
        bool same;

        while (begin > src->text && begin[-1] == ' ')
            begin--;
        end += strspn(end, " ");
        same = found == NULL || (strlen(found) == (size_t)(end - begin) &&
                                 memcmp(found, begin, (size_t)(end - begin)) == 0);
        if (begin == src->text || (begin[-1] != '"' && begin[-1] != '\'') || *end != begin[-1] ||
            !same) {
            free(found);
            return NULL;
        }
        if (found == NULL)
            found = text_copy(begin, (size_t)(end - begin));
    }
    return found;
}

static enum status read_mistral(struct chat_form *form, const struct source *src, struct err *err)
{
    form->user_open = literal_of(src, "[INST]");
    form->user_close = literal_of(src, "[/INST]");
    form->bos = holds(src, "bos_token");
    form->has_system = spells(src, "system_message\n\nmessage[content]");
    form->system_inside = true;
    form->system_open = mem_strdup("");
    form->system_close = mem_strdup("\n\n");
    if (form->user_open == NULL || form->user_close == NULL)
        return strange(form, "what stands around [INST] and [/INST] is not plain", err);
    return ST_OK;
}

/* ---- all ---- */

static const struct {
    const char *name;
    const char *sign;    /* a source that holds it is of this form */
    const char *foreign; /* unless it holds this, NULL for nothing */
    const char *mark[CHAT_MAX_MARKS];
    bool marks_needed;
    enum status (*read)(struct chat_form *form, const struct source *src, struct err *err);
} forms[] = {
    {"llama-2", "<<SYS>>", NULL, {NULL}, false, read_llama2},
    {"llama-3",
     "<|start_header_id|>",
     NULL,
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     true,
     read_llama3},
    {"chatml", "<|im_start|>", "<|im_sep|>", {"<|im_start|>", "<|im_end|>"}, true, read_chatml},
    {"mistral", "[INST]", "[SYSTEM_PROMPT]", {"[INST]", "[/INST]"}, false, read_mistral},
};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

/* The number of the form, N_FORMS for none or more than one. [INST] alone is
 * Mistral's, with <<SYS>> it is Llama-2's. */
static int recognise(const struct source *src)
{
    int found = N_FORMS;

    for (int i = 0; i < N_FORMS; i++) {
        if (!holds(src, forms[i].sign) || (i == N_FORMS - 1 && found == 0))
            continue;
        if (found < N_FORMS || (forms[i].foreign != NULL && holds(src, forms[i].foreign)))
            return N_FORMS;
        found = i;
    }
    return found;
}

enum status chat_form_read(struct chat_form *out, const char *source, size_t n_bytes,
                           struct err *err)
{
    struct source src;
    enum status st;
    int i;

    *out = (struct chat_form){0};
    if (memchr(source, '\0', n_bytes) != NULL)
        return err_set(err, ST_CORRUPT, "the chat template holds a NUL byte");
    source_init(&src, source, n_bytes);
    i = recognise(&src);
    if (i == N_FORMS) {
        st = err_set(err, ST_UNSUPPORTED,
                     "the chat template is none of the known forms (llama-2, llama-3, chatml, "
                     "mistral)");
    } else {
        out->name = forms[i].name;
        memcpy(out->mark, forms[i].mark, sizeof out->mark);
        out->marks_needed = forms[i].marks_needed;
        st = forms[i].read(out, &src, err);
    }
    source_release(&src);
    return st;
}
