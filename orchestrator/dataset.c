#include "orchestrator/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "orchestrator/json_line.h"
#include "orchestrator/line_reader.h"
#include "orchestrator/text_folder.h"
#include "text/prompt.h"
#include "text/utf8.h"

_Static_assert((int)DATASET_NAME_BYTES >= UTF8_SHOW_BYTES, "a shown name fits");

/* A line longer than this is not waited for: the document begins inside it. */
enum { LINE_SEARCH_BYTES = 4096 };

struct dataset {
    struct dataset_args args;
    enum dataset_kind kind;
    uint32_t n_given;
    struct text_buf text;
    char *at;
    struct text_folder folder; /* of DATASET_FOLDER */
    struct line_reader *lines; /* of DATASET_JSONL */
};

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum dataset_kind dataset_kind_of(const char *path, const char *field)
{
    size_t n = strlen(path);

    if (field != NULL)
        return DATASET_JSONL;
    if (strcmp(path, "demo") == 0)
        return DATASET_DEMO;
    if (is_folder(path))
        return DATASET_FOLDER;
    return n > 6 && strcmp(path + n - 6, ".jsonl") == 0 ? DATASET_JSONL : DATASET_TEXT;
}

const char *dataset_kind_name(enum dataset_kind kind)
{
    static const char *const names[] = {"demo", "text", "folder", "jsonl"};

    return names[kind];
}

static enum status open_folder(struct dataset *d, struct err *err)
{
    enum status st = text_folder_list(&d->folder, d->args.path, err);

    if (st == ST_OK && d->folder.n < d->args.n_documents)
        st = err_set(err, ST_INVALID,
                     "%s: %zu text files (*.txt) for %u documents; one file for each document, or "
                     "fewer documents, would be right",
                     d->args.path, d->folder.n, d->args.n_documents);
    return st;
}

enum status dataset_open(struct dataset **out, const struct dataset_args *args, struct err *err)
{
    struct dataset *d = mem_zalloc(sizeof *d);
    enum status st;

    CHECK(args->n_documents > 0);
    d->args = *args;
    d->kind = dataset_kind_of(args->path, args->field);
    CHECK(d->kind != DATASET_DEMO);
    text_buf_init(&d->text);
    if (d->kind == DATASET_FOLDER)
        st = open_folder(d, err);
    else if (d->kind == DATASET_JSONL)
        st = line_reader_open(&d->lines, args->path, DATASET_MAX_LINE_BYTES, err);
    else
        st = prompt_read(&d->text, args->path, err);
    if (st != ST_OK) {
        dataset_close(d);
        return st;
    }
    *out = d;
    return ST_OK;
}

void dataset_close(struct dataset *d)
{
    if (d == NULL)
        return;
    line_reader_close(d->lines);
    text_folder_release(&d->folder);
    text_buf_release(&d->text);
    free(d->at);
    free(d);
}

/* Takes `at`. */
static void place(struct dataset *d, struct dataset_document *out, char *at)
{
    free(d->at);
    d->at = at;
    out->at = at;
}

static bool continues_character(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Where document i begins: the start of a line, or of a character where the
 * line is long. */
static size_t begin_of(const struct dataset *d, uint32_t i)
{
    const struct text_buf *text = &d->text;
    size_t at = text->n / d->args.n_documents * i;
    const char *line = i > 0 ? memchr(text->data + at, '\n', text->n - at) : NULL;

    if (line != NULL && (size_t)(line - text->data) - at < LINE_SEARCH_BYTES)
        return (size_t)(line - text->data) + 1;
    while (at < text->n && continues_character(text->data[at]))
        at++;
    return at;
}

static enum status next_of_text(struct dataset *d, struct dataset_document *out, bool *found,
                                struct err *err)
{
    size_t begin;

    *found = d->n_given < d->args.n_documents;
    if (!*found)
        return ST_OK;
    begin = begin_of(d, d->n_given);
    out->text = d->text.data + begin;
    out->n_bytes = d->text.n - begin;
    snprintf(out->name, sizeof out->name, "byte %zu", begin);
    place(d, out, mem_printf("%s: what begins at byte %zu", d->args.path, begin));
    return ST_OK;
}

static enum status next_of_folder(struct dataset *d, struct dataset_document *out, bool *found,
                                  struct err *err)
{
    const char *name;
    enum status st;

    *found = d->n_given < d->folder.n;
    if (!*found)
        return ST_OK;
    name = d->folder.name[d->n_given];
    place(d, out, mem_printf("%s/%s", d->args.path, name));
    text_buf_release(&d->text);
    st = prompt_read(&d->text, out->at, err);
    out->text = d->text.data;
    out->n_bytes = d->text.n;
    utf8_show(out->name, name, strlen(name));
    return st;
}

/* A mark that some editors put in front of a file's first line. */
static void drop_mark(struct line *line)
{
    if (line->number != 1 || line->n_bytes < 3 || memcmp(line->text, "\xEF\xBB\xBF", 3) != 0)
        return;
    line->text += 3;
    line->n_bytes -= 3;
}

static enum status next_of_lines(struct dataset *d, struct dataset_document *out, bool *found,
                                 struct err *err)
{
    const char *field = d->args.field != NULL ? d->args.field : DATASET_FIELD;
    struct line line;
    enum status st;

    do {
        st = line_reader_next(d->lines, &line, found, err);
        if (st != ST_OK || !*found)
            return st;
        drop_mark(&line);
    } while (json_line_is_blank(line.text, line.n_bytes));
    place(d, out, mem_printf("%s:%llu", d->args.path, (unsigned long long)line.number));
    snprintf(out->name, sizeof out->name, "line %llu", (unsigned long long)line.number);
    st = json_line_text(&d->text, line.text, line.n_bytes, field, err);
    out->text = d->text.data;
    out->n_bytes = d->text.n;
    return st == ST_OK ? st : err_in(err, st, "%s", out->at);
}

enum status dataset_next(struct dataset *d, struct dataset_document *out, bool *found,
                         struct err *err)
{
    enum status st;

    if (d->kind == DATASET_TEXT)
        st = next_of_text(d, out, found, err);
    else if (d->kind == DATASET_FOLDER)
        st = next_of_folder(d, out, found, err);
    else
        st = next_of_lines(d, out, found, err);
    d->n_given += st == ST_OK && *found;
    return st;
}
