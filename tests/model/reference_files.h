/*
 * reference_files.h - the tiny checkpoints of tests/fixtures/checkpoints and what transformers
 * gives for them.
 *
 * A folder holds config.json, often the same model in an older spelling (config_old.json,
 * config_both.json), ids.npy and logits.npy of a prompt and of 64 tokens decoded behind it.
 * Weights lie in it, or in the folder whose weights it shares.
 */
#ifndef TESTS_MODEL_REFERENCE_FILES_H
#define TESTS_MODEL_REFERENCE_FILES_H

#include "tests/test_helpers.h"

#include <dirent.h>

#include "tests/model/temp_dir.h"
#include "tests/npy.h"

#define REFERENCE_DIR TEST_SOURCE_DIR "/tests/fixtures/checkpoints"

enum { REFERENCE_DECODED = 64 };

/* Both sides compute in F32 and differ in the order of their sums; the logits have a deviation of
 * 3 to 6. A cosine that is off by 1e-3 moves them by more than this. */
static const double reference_tol = 2e-4;

struct reference_case {
    const char *name;
    const char *weights; /* folder; NULL: its own */
    uint32_t pos0;       /* position of the first token */
};

static inline void reference_npy(struct npy *out, const char *name, const char *file,
                                 const char *descr)
{
    char path[512];

    snprintf(path, sizeof path, REFERENCE_DIR "/%s/%s", name, file);
    if (!npy_read(out, path, descr))
        fail_msg("cannot read %s", path);
}

/* A checkpoint directory of links: the spelling as config.json, and all weight files. */
static inline struct temp_dir reference_checkpoint(const struct reference_case *rc,
                                                   const char *spelling)
{
    struct temp_dir dir = temp_dir_make();
    char folder[512], from[1024], to[1024];
    struct dirent *entry;
    DIR *list;

    snprintf(folder, sizeof folder, REFERENCE_DIR "/%s", rc->weights ? rc->weights : rc->name);
    snprintf(from, sizeof from, REFERENCE_DIR "/%s/%s", rc->name, spelling);
    snprintf(to, sizeof to, "%s/config.json", dir.path);
    assert_int_equal(symlink(from, to), 0);
    list = opendir(folder);
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        if (strstr(entry->d_name, ".safetensors") == NULL)
            continue;
        snprintf(from, sizeof from, "%s/%s", folder, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", dir.path, entry->d_name);
        assert_int_equal(symlink(from, to), 0);
    }
    closedir(list);
    return dir;
}

/* Largest difference; NaN if there is one. */
static inline double reference_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (isnan(d))
            return d;
        worst = fmax(worst, d);
    }
    return worst;
}

#endif
