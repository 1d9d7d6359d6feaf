/*
 * process_fixture.h - starts the real program, and looks for what it leaves.
 */
#ifndef TESTS_KVSTORE_PROCESS_FIXTURE_H
#define TESTS_KVSTORE_PROCESS_FIXTURE_H

#include "tests/test_helpers.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "common/proc.h"
#include "common/rundir.h"
#include "kvstore/kv_client.h"

#define STORE_PATH TEST_BUILD_DIR "/bin/mspeckv-kvstore"
#define LOG_PATH   TEST_BUILD_DIR "/kvstore_process.log"

enum { PATIENCE_MS = 60000 }; /* for what happens at once on a machine that is not busy */

static const struct msg_create_seq plain_seq = {.n_layers = 2, .page_bytes = 65536, .format = 1};

static inline void start(struct proc *p, const struct rundir *dir, const char *kind, bool control)
{
    char *argv[] = {(char *)STORE_PATH,
                    (char *)"--run-dir",
                    (char *)rundir_path(dir),
                    (char *)"--arena-bytes",
                    (char *)"33554432",
                    (char *)"--arena",
                    (char *)kind,
                    control ? (char *)"--control" : NULL,
                    NULL};
    struct err err = {{0}};

    if (proc_spawn(p, "kvstore", argv, LOG_PATH, &err) != ST_OK)
        fail_msg("%s", err.text);
}

static inline struct kv_client *enter(const struct rundir *dir, const char *name)
{
    struct kv_client *c = NULL;
    struct err err = {{0}};

    if (kv_client_open(&c, dir, name, &err) != ST_OK)
        fail_msg("%s", err.text);
    return c;
}

static inline void kill_now(struct proc *p)
{
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    proc_stop(p, 1000);
}

/* Waits and says how it ended. */
static inline void wait_end(struct proc *p, char how[64])
{
    struct pollfd end = {.fd = p->pidfd, .events = POLLIN};

    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    assert_true(proc_has_ended(p, how, 64));
}

static inline void fill(struct kv_client *c, uint64_t seq, uint32_t n, int value)
{
    struct msg_page_map map = {0};
    void *page[64];

    assert_int_equal(kv_client_reserve(c, seq, n, &map, NULL), ST_OK);
    for (uint32_t layer = map.first_layer; layer < map.n_layers; layer++) {
        kv_client_pages(c, &map, layer, map.n_pages, n, page);
        for (uint32_t i = 0; i < n; i++)
            memset(page[i], value + (int)(layer * 16 + i), map.page_bytes);
    }
    assert_int_equal(kv_client_commit(c, &map, false, NULL), ST_OK);
    kv_map_release(&map);
}

/* The stop is orderly, nothing of ours is left behind. */
static inline void stop_and_look(struct proc *p, struct rundir *dir)
{
    char path[128];
    struct stat st;
    struct dirent *entry;
    DIR *shm;

    proc_stop(p, PATIENCE_MS);
    snprintf(path, sizeof path, "%s", rundir_path(dir));
    rundir_leave(dir);
    assert_int_not_equal(stat(path, &st), 0);
    shm = opendir("/dev/shm");
    while (shm && (entry = readdir(shm)))
        assert_int_not_equal(strncmp(entry->d_name, "mspeckv", 7), 0);
    if (shm)
        closedir(shm);
}

#endif
