/*
 * dataset.h - the documents of a study as texts, one after the other.
 *
 * A text file: document i of n begins i/n of the way into it, at the next
 * line, and goes on to the file's end. A folder: document i is its text file i
 * by name. JSON Lines: document i is a field of the line i that is not blank;
 * no more of the file is read than documents are asked for. The demo text is
 * no such dataset: prompt_source.h makes it.
 */
#ifndef ORCHESTRATOR_DATASET_H
#define ORCHESTRATOR_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum dataset_kind { DATASET_DEMO, DATASET_TEXT, DATASET_FOLDER, DATASET_JSONL };

enum { DATASET_NAME_BYTES = 64, DATASET_MAX_LINE_BYTES = 1 << 28 };

#define DATASET_FIELD "text" /* where no field is named */

/* A field that is named says JSON Lines. Without one, "demo" is the demo text
 * whatever files there are, a folder is told by the file system, and ".jsonl"
 * says JSON Lines too. */
enum dataset_kind dataset_kind_of(const char *path, const char *field);
const char *dataset_kind_name(enum dataset_kind kind); /* "demo", "text", "folder", "jsonl" */

struct dataset_args {
    const char *path;
    const char *field; /* of JSON Lines; NULL: DATASET_FIELD */
    uint32_t n_documents;
};

struct dataset; /* owns its files */

struct dataset_document {
    const char *text; /* [n_bytes] well-formed UTF-8, borrowed until the next call */
    size_t n_bytes;
    const char *at; /* for words, "books.jsonl:12"; borrowed until the next call */
    /* "byte 4096", "emma.txt", "line 12"; shown safely and cut where it is long */
    char name[DATASET_NAME_BYTES];
};

/* The texts of `args` are borrowed until dataset_close. ST_NOT_FOUND, ST_IO, or ST_INVALID:
 * no file or folder, a folder with fewer text files than documents. */
enum status dataset_open(struct dataset **out, const struct dataset_args *args, struct err *err);
void dataset_close(struct dataset *d); /* NULL is fine */

/* *found false: there are no more. ST_INVALID "FILE:LINE: what; what would be
 * right", and what reading gives. */
enum status dataset_next(struct dataset *d, struct dataset_document *out, bool *found,
                         struct err *err);

#endif
