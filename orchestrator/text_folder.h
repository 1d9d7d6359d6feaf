/*
 * text_folder.h - the text files of a folder, in the order of their names.
 */
#ifndef ORCHESTRATOR_TEXT_FOLDER_H
#define ORCHESTRATOR_TEXT_FOLDER_H

#include <stddef.h>

#include "common/status.h"

enum { TEXT_FOLDER_MAX_FILES = 100000 };

struct text_folder {
    char **name; /* [n], without the folder; owned */
    size_t n;
};

/* Every NAME.txt whose name does not begin with a dot, sorted by bytes. Not
 * looked into: whether it can be read. ST_NOT_FOUND, ST_IO, or ST_INVALID: too
 * many files. */
enum status text_folder_list(struct text_folder *out, const char *path, struct err *err);
void text_folder_release(struct text_folder *folder); /* a zeroed one is fine */

#endif
