/*
 * nearest.h - the known word that a mistyped one was probably meant to be.
 */
#ifndef ORCHESTRATOR_NEAREST_H
#define ORCHESTRATOR_NEAREST_H

#include <stddef.h>

/* NULL when none is near: more than a third of the letters would have to change. */
const char *nearest_word(const char *word, const char *const *known, size_t n_known);

#endif
