/*
 * out_dir.h - a directory that appears whole or not at all.
 *
 * Files are made in NAME.partial beside it, which is renamed at the end, and removed with all that
 * is in it if it never comes to that.
 */
#ifndef TOOLS_SYNTH_OUT_DIR_H
#define TOOLS_SYNTH_OUT_DIR_H

#include <stdint.h>

#include "common/status.h"

struct out_dir {
    char *path;    /* what the user asked for; owned */
    char *partial; /* where files are made; owned, NULL once published */
};

/* ST_INVALID: `path` exists and is not an empty directory, or NAME.partial exists. */
enum status out_dir_open(struct out_dir *out, const char *path, struct err *err);
/* ST_NO_SPACE unless `n_bytes` are free there; says how many are needed. */
enum status out_dir_check_space(const struct out_dir *dir, uint64_t n_bytes, struct err *err);
/* Renames it to its name and syncs. */
enum status out_dir_publish(struct out_dir *dir, struct err *err);
/* Removes what was not published; zeroed or released is fine. */
void out_dir_release(struct out_dir *dir);

#endif
