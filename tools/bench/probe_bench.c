#include "tools/bench/probe_bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/shm.h"
#include "kernels/device.h"

enum { BLOCK_BYTES = 4 << 20, REGISTER_BYTES = 64 << 20, MARK = 0x5a };

static void say(const char *probe, enum status st, const char *words)
{
    printf("{\"probe\": \"%s\", \"ok\": %s, \"words\": \"", probe, st == ST_OK ? "true" : "false");
    for (const char *c = words; *c != '\0'; c++)
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if ((unsigned char)*c >= ' ')
            putchar(*c);
    printf("\"}\n");
    fflush(stdout); /* a child writes to the same file */
}

static void to_hex(const struct device_share *share, char hex[2 * sizeof share->bytes + 1])
{
    for (size_t i = 0; i < sizeof share->bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", share->bytes[i]);
}

static enum status from_hex(const char *hex, struct device_share *share, struct err *err)
{
    if (strlen(hex) != 2 * sizeof share->bytes)
        return err_set(err, ST_INVALID, "a share has %zu hex digits", 2 * sizeof share->bytes);
    for (size_t i = 0; i < sizeof share->bytes; i++) {
        unsigned value;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1)
            return err_set(err, ST_INVALID, "not a hex digit at %zu of the share", 2 * i);
        share->bytes[i] = (uint8_t)value;
    }
    return ST_OK;
}

enum status probe_bench_import(const char *device, const char *hex, struct err *err)
{
    const struct device_options opt = {0};
    struct device_share share;
    struct device *dev = NULL;
    uint8_t first = 0;
    void *p = NULL;
    enum status st = from_hex(hex, &share, err);

    if (st == ST_OK)
        st = device_open(&dev, device, &opt, err);
    if (st == ST_OK)
        st = device_import(dev, DEVICE_SCRATCH, &share, &p, err);
    if (st == ST_OK)
        st = device_download(dev, &first, p, 1, err);
    if (st == ST_OK && first != MARK)
        st = err_set(err, ST_CORRUPT, "the block begins with %#x, not %#x", first, MARK);
    if (dev != NULL)
        device_drop(dev, p);
    device_close(dev);
    return st;
}

/* A fresh image of this program: a GPU's state does not survive a fork. */
static enum status run_child(const char *device, const char *hex, struct err *err)
{
    int wait_status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "mspeckv-bench", "probe", "--device", device, "--import", hex,
              (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &wait_status, 0) != pid)
        return err_set(err, ST_IO, "fork: %s", strerror(errno));
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
        return err_set(err, ST_DEVICE, "the other process could not read the block");
    return ST_OK;
}

static enum status try_share(struct device *dev, const char *device, struct err *err)
{
    static const uint8_t mark = MARK;
    char hex[2 * sizeof(struct device_share) + 1];
    struct device_share share;
    void *p = NULL;
    enum status st = device_alloc(dev, DEVICE_SCRATCH, BLOCK_BYTES, &p, err);

    if (st == ST_OK)
        st = device_upload(dev, p, &mark, 1, err);
    if (st == ST_OK)
        st = device_sync(dev, err);
    if (st == ST_OK)
        st = device_export(dev, p, &share, err);
    if (st == ST_OK) {
        to_hex(&share, hex);
        st = run_child(device, hex, err);
    }
    device_free(dev, p);
    return st;
}

static enum status try_register(struct device *dev, enum shm_kind kind, struct err *err)
{
    struct shm_args args = {kind, REGISTER_BYTES, -1, false};
    struct shm shm;
    enum status st = shm_create(&shm, &args, err);

    if (st != ST_OK)
        return st;
    st = device_register_host(dev, shm.base, REGISTER_BYTES, err);
    if (st == ST_OK)
        device_unregister_host(dev, shm.base);
    shm_release(&shm);
    return st;
}

static void try_pidfd(void)
{
    long fd = syscall(SYS_pidfd_open, getpid(), 0);

    say("pidfd", fd >= 0 ? ST_OK : ST_IO, fd >= 0 ? "" : strerror(errno));
    if (fd >= 0)
        close((int)fd);
}

enum status probe_bench_run(const char *device, struct err *err)
{
    const struct device_options opt = {0};
    struct err words = {{0}};
    struct device *dev = NULL;
    enum status st = device_open(&dev, device, &opt, err);

    if (st != ST_OK)
        return st;
    say("open", ST_OK, device_describe(dev));
    st = try_share(dev, device, &words);
    say("share", st, st == ST_OK ? "" : words.text);
    st = try_register(dev, SHM_MEMFD, &words);
    say("register_memfd", st, st == ST_OK ? "" : words.text);
    st = try_register(dev, SHM_POSIX, &words);
    say("register_shm", st, st == ST_OK ? "" : words.text);
    try_pidfd();
    device_close(dev);
    return ST_OK;
}
