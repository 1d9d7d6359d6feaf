/*
 * fuzz_shard_index.c - any bytes as model.safetensors.index.json beside two good
 * shards; what is accepted must be those shards, tensor by tensor.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "model/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { N_SHARDS = 2 };
static const char *const shard[N_SHARDS] = {"a.safetensors", "b.safetensors"};
static const char *const header[N_SHARDS] = {
    "{\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
    "{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
    "\"v\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}"};
static char dir[] = "/tmp/fuzz-shards-XXXXXX";
static int index_fd = -1;

static int open_in_dir(const char *name)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    return fd;
}

static void remove_dir(void)
{
    static const char *const names[] = {"a.safetensors", "b.safetensors",
                                        "model.safetensors.index.json"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void make_dir(void)
{
    CHECK(mkdtemp(dir) != NULL);
    atexit(remove_dir);
    for (int i = 0; i < N_SHARDS; i++) {
        uint64_t n = strlen(header[i]);
        int fd = open_in_dir(shard[i]);
        CHECK(write(fd, &n, sizeof n) == sizeof n);
        CHECK(write(fd, header[i], n) == (ssize_t)n && write(fd, "xy", 2) == 2);
        close(fd);
    }
    index_fd = open_in_dir("model.safetensors.index.json");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    struct checkpoint ckpt = {0};
    struct err err = {{0}};
    size_t file = 0;

    if (index_fd < 0)
        make_dir();
    CHECK(ftruncate(index_fd, 0) == 0);
    CHECK(pwrite(index_fd, bytes, n_bytes, 0) == (ssize_t)n_bytes);
    if (checkpoint_open(&ckpt, dir, &err) != ST_OK) {
        CHECK(err.text[0] != '\0' && strchr(err.text, '\n') == NULL && ckpt.file == NULL);
        return 0;
    }
    CHECK(ckpt.n_files >= 1 && ckpt.n_files <= N_SHARDS);
    for (size_t i = 0; i < ckpt.n_files; i++) {
        const char *name = strrchr(ckpt.file[i].path, '/') + 1;
        CHECK(strcmp(name, shard[0]) == 0 || strcmp(name, shard[1]) == 0);
        for (size_t k = 0; k < ckpt.file[i].n_entries; k++) {
            CHECK(checkpoint_find(&ckpt, ckpt.file[i].entry[k].name, &file) != NULL);
            CHECK(file == i);
        }
    }
    checkpoint_release(&ckpt);
    return 0;
}
