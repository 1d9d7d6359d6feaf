/*
 * fake_machine.h - a folder with proc/ and sys/ in it that stands for a machine.
 */
#ifndef TESTS_ORCHESTRATOR_FAKE_MACHINE_H
#define TESTS_ORCHESTRATOR_FAKE_MACHINE_H

#include <sys/stat.h>

#include "tests/test_helpers.h"

struct fake_machine {
    char root[64];
};

static inline void fake_machine_open(struct fake_machine *m)
{
    snprintf(m->root, sizeof m->root, "/tmp/mspeckv-fake-XXXXXX");
    assert_non_null(mkdtemp(m->root));
}

/* Makes the folders above it too. */
static inline void fake_machine_put(const struct fake_machine *m, const char *path,
                                    const char *text)
{
    char name[512];
    FILE *file;

    snprintf(name, sizeof name, "%s/%s", m->root, path);
    for (char *slash = name + strlen(m->root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
    file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static inline void fake_machine_close(const struct fake_machine *m)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", m->root);
    assert_int_equal(system(command), 0);
}

#endif
