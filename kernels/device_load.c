#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernels/device_backend.h"
#include "kernels/ops.h"

/* The directory above the one that this program's file lies in. */
static enum status installation(char *buf, size_t size, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", buf, size);

    if (n < 0)
        return err_set(err, ST_IO, "read /proc/self/exe: %s", strerror(errno));
    if ((size_t)n >= size)
        return err_set(err, ST_IO, "this program's path is longer than %zu bytes", size);
    buf[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(buf, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    return ST_OK;
}

static bool is_of_this_build(const struct device_module *module)
{
    return module->abi == DEVICE_MODULE_ABI && module->device_bytes == sizeof(struct device) &&
           module->backend_bytes == sizeof(struct device_backend) &&
           module->ops_bytes == sizeof(struct device_ops);
}

/* The linker's words name the library that it lacks. */
static enum status load_failed(const char *words, struct err *err)
{
    if (words != NULL && strstr(words, "libcublas") != NULL)
        return err_set(err, ST_NOT_FOUND,
                       "%s; it is part of the CUDA 13 toolkit and is looked for in this "
                       "installation's lib/ and in /usr/local/cuda/lib64",
                       words);
    return err_set(err, ST_NOT_FOUND, "the CUDA backend does not load: %s",
                   words != NULL ? words : "no reason given");
}

/* Never unloaded: the CUDA runtime leaves threads and exit handlers behind. */
static enum status load(const char *path, const struct device_module **out, struct err *err)
{
    const struct device_module *(*entry)(void);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *symbol;

    if (library == NULL)
        return load_failed(dlerror(), err);
    symbol = dlsym(library, DEVICE_MODULE_ENTRY);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast between the two */
    *out = entry != NULL ? entry() : NULL;
    dlclose(library);
    if (*out == NULL || !is_of_this_build(*out))
        return err_set(err, ST_VERSION,
                       "%s and this program are of different builds; install both together", path);
    return ST_OK;
}

enum status device_load_cuda(struct device **out, int number, const struct device_options *opt,
                             struct err *err)
{
    const struct device_module *module = NULL;
    char root[PATH_MAX], path[PATH_MAX + 32];
    enum status st = installation(root, sizeof root, err);

    if (st != ST_OK)
        return st;
    snprintf(path, sizeof path, "%s/lib/libmspeckv_cuda.so", root);
    if (access(path, R_OK) != 0)
        return err_set(err, ST_NOT_FOUND,
                       "this installation has no CUDA backend (%s: %s); build it where nvcc of "
                       "CUDA 13 is, or use cpu:0",
                       path, strerror(errno));
    st = load(path, &module, err);
    if (st != ST_OK)
        return st;
    return module->open(out, number, opt, err);
}
