/*
 * fuzz_experiment.c - experiment files and --set values: any bytes are read or
 * refused with words. What stands before the first NUL is the file, what
 * stands behind it is one --set.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/experiment.h"
#include "orchestrator/matrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expand(const struct experiment *e)
{
    struct matrix *m = NULL;
    struct err err = {{0}};
    /* Large matrices are only slow. */
    uint64_t points = 0;
    for (uint32_t i = 0; i < e->n_studies; i++)
        points += matrix_points(&e->study[i]);
    if (points * e->n_seeds * e->n_documents > 200)
        return;
    CHECK(matrix_open(&m, e, &err) == ST_OK);
    if (matrix_check(m, e, 32, &err) != ST_OK)
        CHECK(err.text[0] != '\0');
    matrix_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct experiment *e = NULL;
    struct err err = {{0}};
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t n_text = nul != NULL ? (size_t)(nul - data) : size;
    size_t n_set = nul != NULL ? size - n_text - 1 : 0;
    char *set = mem_zalloc(n_set + 1);
    const char *const sets[] = {set};

    if (n_set > 0)
        memcpy(set, nul + 1, n_set);
    enum status st = experiment_parse(&e, "dir/f.yaml", (const char *)data, n_text, sets,
                                      n_set > 0 ? 1 : 0, &err);
    if (st == ST_OK)
        expand(e);
    else
        CHECK(e == NULL && err.text[0] != '\0');
    experiment_free(e);
    free(set);
    return 0;
}
