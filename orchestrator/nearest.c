#include "orchestrator/nearest.h"

#include <string.h>

enum { MAX_WORD = 48 };

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters to insert, delete or replace (Levenshtein), one row at a time. */
static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_WORD + 1];
    size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t here = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = min2(here, min2(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const char *nearest_word(const char *word, const char *const *known, size_t n_known)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 1;
    if (strlen(word) > MAX_WORD)
        return NULL;
    for (size_t i = 0; i < n_known; i++) {
        if (strlen(known[i]) > MAX_WORD)
            continue;
        size_t d = distance(word, known[i]);
        if (d <= best_distance && (best == NULL || d < best_distance)) {
            best = known[i];
            best_distance = d;
        }
    }
    return best;
}
