/*
 * set_words.h - takes each --set key=value out of a command's words.
 *
 * --set may stand several times, the options of common/args.h once.
 */
#ifndef ORCHESTRATOR_SET_WORDS_H
#define ORCHESTRATOR_SET_WORDS_H

#include <stddef.h>

#include "common/status.h"

struct set_words {
    const char **set; /* [n_sets], owned; borrows the words */
    size_t n_sets;
    char **rest; /* [n_rest], owned; the other words, argv[0] first */
    int n_rest;
};

/* ST_INVALID: a --set without its value. set_words_release *out in any case. */
enum status set_words_take(struct set_words *out, int argc, char **argv, struct err *err);
void set_words_release(struct set_words *w); /* zeroed is fine */

#endif
