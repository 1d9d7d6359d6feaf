#include "model/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/torch_files.h"
#include "common/whole_file.h"
#include "model/json_doc.h"

/* Distinct shard names of an index, borrowed from its JSON tree. */
struct shard_names {
    size_t n;
    const char *name[CHECKPOINT_MAX_FILES];
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A plain name of a .safetensors file: printable, no way out of the directory. */
static bool shard_name_is_plain(const char *name)
{
    static const char suffix[] = ".safetensors";
    size_t length = strlen(name);

    if (length < sizeof suffix || length > SAFETENSORS_MAX_NAME || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= 0x20 || name[i] >= 0x7f || name[i] == '/' || name[i] == '\\')
            return false;
    }
    return strstr(name, "..") == NULL && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

static enum status add_shard_name(struct shard_names *names, const char *path, const char *tensor,
                                  const json_t *value, struct err *err)
{
    const char *name = json_string_value(value);

    if (name == NULL || !shard_name_is_plain(name))
        return err_set(err, ST_CORRUPT,
                       "%s: weight_map: tensor %s: \"%s\" is no plain name of a .safetensors file",
                       path, json_doc_word(tensor).text,
                       json_doc_word(name != NULL ? name : "").text);
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->name[i], name) == 0)
            return ST_OK;
    }
    if (names->n == CHECKPOINT_MAX_FILES)
        return err_set(err, ST_UNSUPPORTED, "%s: weight_map names more than %d files", path,
                       CHECKPOINT_MAX_FILES);
    names->name[names->n++] = name;
    return ST_OK;
}

static enum status collect_shards(struct shard_names *names, const json_t *map, const char *path,
                                  struct err *err)
{
    const char *tensor;
    json_t *value;

    if (json_object_size(map) == 0)
        return err_set(err, ST_CORRUPT, "%s: weight_map is missing, empty or no object", path);
    json_object_foreach((json_t *)map, tensor, value)
    {
        enum status st = add_shard_name(names, path, tensor, value, err);
        if (st != ST_OK)
            return st;
    }
    qsort(names->name, names->n, sizeof names->name[0], by_text);
    return ST_OK;
}

/* Opens the shards; a tensor in one of them must be listed for exactly that one. */
static enum status open_shard(struct safetensors *file, const char *dir, const char *name,
                              const json_t *map, struct err *err)
{
    char *path = mem_printf("%s/%s", dir, name);
    enum status st = safetensors_open(file, path, err);

    free(path);
    for (size_t i = 0; st == ST_OK && i < file->n_entries; i++) {
        const char *tensor = file->entry[i].name;
        const char *listed = json_string_value(json_object_get(map, tensor));
        if (listed == NULL)
            st = err_set(err, ST_CORRUPT, "%s: tensor %s is not in the index", file->path, tensor);
        else if (strcmp(listed, name) != 0)
            st = err_set(err, ST_CORRUPT, "%s: tensor %s: the index says that it lies in %s",
                         file->path, tensor, listed);
    }
    return st;
}

static enum status check_listed(const struct checkpoint *ckpt, const json_t *map, const char *path,
                                struct err *err)
{
    const char *tensor;
    json_t *value;
    size_t index;

    json_object_foreach((json_t *)map, tensor, value)
    {
        if (checkpoint_find(ckpt, tensor, &index) == NULL)
            return err_set(err, ST_CORRUPT, "%s: tensor %s is not in %s", path,
                           json_doc_word(tensor).text, json_string_value(value));
    }
    return ST_OK;
}

static enum status open_shards(struct checkpoint *ckpt, const char *dir, const json_t *root,
                               const char *path, struct err *err)
{
    struct shard_names *names = mem_zalloc(sizeof *names);
    const json_t *map = json_object_get(root, "weight_map");
    enum status st = collect_shards(names, map, path, err);

    if (st == ST_OK)
        ckpt->file = mem_array(names->n, sizeof *ckpt->file);
    for (size_t i = 0; st == ST_OK && i < names->n; i++)
        st = open_shard(&ckpt->file[ckpt->n_files++], dir, names->name[i], map, err);
    if (st == ST_OK)
        st = check_listed(ckpt, map, path, err);
    free(names);
    return st;
}

static enum status open_index(struct checkpoint *ckpt, const char *dir, const char *path,
                              struct err *err)
{
    size_t n_bytes = 0;
    char *text = NULL;
    json_t *root = NULL;
    enum status st = whole_file_read(&text, &n_bytes, path, JSON_DOC_MAX_BYTES, err);

    if (st == ST_OK)
        st = json_doc_parse(&root, text, n_bytes, path, err);
    if (st == ST_OK)
        st = open_shards(ckpt, dir, root, path, err);
    json_decref(root);
    free(text);
    return st;
}

/* The name of a file in `dir`, which exists; else NULL. The caller owns the result. */
static char *existing(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);

    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* Words for a directory without safetensors files. */
static enum status nothing_to_open(const char *dir, struct err *err)
{
    if (torch_files_refuse(dir, err) != ST_OK)
        return ST_NOT_FOUND;
    return err_set(err, ST_NOT_FOUND,
                   "%s: holds neither model.safetensors nor model.safetensors.index.json", dir);
}

enum status checkpoint_open(struct checkpoint *out, const char *dir, struct err *err)
{
    char *single = existing(dir, "model.safetensors");
    char *index = existing(dir, "model.safetensors.index.json");
    struct checkpoint ckpt = {0};
    enum status st;

    if (single != NULL) {
        ckpt.file = mem_array(1, sizeof *ckpt.file);
        ckpt.n_files = 1;
        st = safetensors_open(&ckpt.file[0], single, err);
    } else if (index != NULL) {
        st = open_index(&ckpt, dir, index, err);
    } else {
        st = nothing_to_open(dir, err);
    }
    if (st == ST_OK)
        *out = ckpt;
    else
        checkpoint_release(&ckpt);
    free(single);
    free(index);
    return st;
}

void checkpoint_release(struct checkpoint *ckpt)
{
    for (size_t i = 0; i < ckpt->n_files; i++)
        safetensors_release(&ckpt->file[i]);
    free(ckpt->file);
    memset(ckpt, 0, sizeof *ckpt);
}

const struct safetensors_entry *checkpoint_find(const struct checkpoint *ckpt, const char *name,
                                                size_t *file_index)
{
    for (size_t i = 0; i < ckpt->n_files; i++) {
        const struct safetensors_entry *entry = safetensors_find(&ckpt->file[i], name);
        if (entry == NULL)
            continue;
        *file_index = i;
        return entry;
    }
    return NULL;
}
