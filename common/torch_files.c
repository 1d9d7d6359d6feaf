#include "common/torch_files.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

static bool holds(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

enum status torch_files_refuse(const char *dir, struct err *err)
{
    if (!holds(dir, "pytorch_model.bin") && !holds(dir, "pytorch_model.bin.index.json"))
        return ST_OK;
    return err_set(err, ST_NOT_FOUND,
                   "%s: holds PyTorch files only; `mspeckv convert %s --out DIR` makes safetensors "
                   "of them",
                   dir, dir);
}
