#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/map_guard.h"
#include "common/mem.h"
#include "model/json_doc.h"

enum { SIZE_FIELD = 8 }; /* bytes before the JSON header */

/* By enum safetensors_dtype. */
static const struct dtype {
    const char *name;
    uint64_t size_bytes;
} dtypes[] = {
    {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"BOOL", 1},    {"U8", 1},
    {"I8", 1},  {"U16", 2}, {"I16", 2},  {"U32", 4},     {"I32", 4},
    {"U64", 8}, {"I64", 8}, {"F64", 8},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
};

const char *safetensors_dtype_name(enum safetensors_dtype dtype)
{
    return dtypes[dtype].name;
}

static enum status parse_name(struct safetensors_entry *e, const char *path, const char *name,
                              struct err *err)
{
    size_t length = strlen(name);
    bool printable = length > 0 && length <= SAFETENSORS_MAX_NAME;

    for (size_t i = 0; printable && i < length; i++)
        printable = name[i] >= 0x20 && name[i] < 0x7f;
    if (!printable)
        return err_set(err, ST_CORRUPT,
                       "%s: tensor name \"%s\" is not 1 to %d printable characters", path,
                       json_doc_word(name).text, SAFETENSORS_MAX_NAME);
    e->name = mem_strdup(name);
    return ST_OK;
}

static enum status parse_dtype(struct safetensors_entry *e, const char *path, const json_t *value,
                               struct err *err)
{
    const char *name = json_string_value(value);

    if (name == NULL)
        return err_set(err, ST_CORRUPT, "%s: tensor %s: dtype must be a string", path, e->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(dtypes[i].name, name) != 0)
            continue;
        e->dtype = (enum safetensors_dtype)i;
        return ST_OK;
    }
    return err_set(err, ST_UNSUPPORTED, "%s: tensor %s: dtype %s is not supported", path, e->name,
                   json_doc_word(name).text);
}

/* A whole number >= 0; jansson has refused what is beyond 63 bits. */
static bool take_u64(uint64_t *out, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* Also gives the number of bytes that shape and dtype ask for. */
static enum status parse_shape(struct safetensors_entry *e, uint64_t *out_bytes, const char *path,
                               const json_t *value, struct err *err)
{
    uint64_t n_bytes = dtypes[e->dtype].size_bytes;
    bool overflow = false;

    if (!json_is_array(value) || json_array_size(value) > SAFETENSORS_MAX_DIMS)
        return err_set(err, ST_CORRUPT, "%s: tensor %s: shape must be an array of at most %d sizes",
                       path, e->name, SAFETENSORS_MAX_DIMS);
    e->n_dims = (uint32_t)json_array_size(value);
    for (uint32_t i = 0; i < e->n_dims; i++) {
        if (!take_u64(&e->dim[i], json_array_get(value, i)))
            return err_set(err, ST_CORRUPT, "%s: tensor %s: shape[%u] is no whole number >= 0",
                           path, e->name, i);
        overflow = __builtin_mul_overflow(n_bytes, e->dim[i], &n_bytes) || overflow;
    }
    if (overflow)
        return err_set(err, ST_CORRUPT, "%s: tensor %s: shape has more than 2^64 bytes", path,
                       e->name);
    *out_bytes = n_bytes;
    return ST_OK;
}

static enum status parse_offsets(struct safetensors_entry *e, uint64_t shape_bytes,
                                 const char *path, const json_t *value, struct err *err)
{
    if (json_array_size(value) != 2 || !take_u64(&e->begin, json_array_get(value, 0)) ||
        !take_u64(&e->end, json_array_get(value, 1)))
        return err_set(err, ST_CORRUPT,
                       "%s: tensor %s: data_offsets must be two whole numbers [begin, end]", path,
                       e->name);
    if (e->end < e->begin || e->end - e->begin != shape_bytes)
        return err_set(err, ST_CORRUPT,
                       "%s: tensor %s: data_offsets [%llu, %llu] disagree with shape and dtype %s, "
                       "which need %llu bytes",
                       path, e->name, (unsigned long long)e->begin, (unsigned long long)e->end,
                       dtypes[e->dtype].name, (unsigned long long)shape_bytes);
    return ST_OK;
}

static enum status parse_entry(struct safetensors_entry *e, const char *path, const char *name,
                               const json_t *value, struct err *err)
{
    uint64_t shape_bytes = 0;
    enum status st = parse_name(e, path, name, err);

    if (st == ST_OK && !json_is_object(value))
        st = err_set(err, ST_CORRUPT, "%s: tensor %s: is no object", path, e->name);
    if (st == ST_OK && json_object_size(value) != 3)
        st = err_set(err, ST_CORRUPT,
                     "%s: tensor %s: must have dtype, shape, data_offsets and nothing else", path,
                     e->name);
    if (st == ST_OK)
        st = parse_dtype(e, path, json_object_get(value, "dtype"), err);
    if (st == ST_OK)
        st = parse_shape(e, &shape_bytes, path, json_object_get(value, "shape"), err);
    if (st == ST_OK)
        st = parse_offsets(e, shape_bytes, path, json_object_get(value, "data_offsets"), err);
    return st;
}

static enum status check_metadata(const char *path, const json_t *value, struct err *err)
{
    const char *key;
    json_t *item;

    if (!json_is_object(value))
        return err_set(err, ST_CORRUPT, "%s: __metadata__ is no object", path);
    json_object_foreach((json_t *)value, key, item)
    {
        if (!json_is_string(item))
            return err_set(err, ST_CORRUPT, "%s: __metadata__: %s is no string", path,
                           json_doc_word(key).text);
    }
    return ST_OK;
}

static enum status parse_entries(struct safetensors *file, const json_t *root, struct err *err)
{
    enum status st = ST_OK;
    const char *key;
    json_t *value;

    file->entry = mem_array(json_object_size(root), sizeof *file->entry);
    json_object_foreach((json_t *)root, key, value)
    {
        if (strcmp(key, "__metadata__") == 0)
            st = check_metadata(file->path, value, err);
        else /* counted first, so that release also frees a half-read entry */
            st = parse_entry(&file->entry[file->n_entries++], file->path, key, value, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* The ranges, in order, must touch each other and fill the data. */
static enum status check_tiling(struct safetensors *file, struct err *err)
{
    uint64_t data_bytes = file->n_bytes - file->data_at;
    uint64_t at = 0;

    qsort(file->entry, file->n_entries, sizeof *file->entry, by_offset);
    for (size_t i = 0; i < file->n_entries; i++) {
        const struct safetensors_entry *e = &file->entry[i];
        if (e->begin != at)
            return err_set(err, ST_CORRUPT,
                           "%s: tensor %s: data begins at %llu, but the tensor before ends at %llu",
                           file->path, e->name, (unsigned long long)e->begin,
                           (unsigned long long)at);
        if (e->end > data_bytes)
            return err_set(err, ST_CORRUPT,
                           "%s: tensor %s: data ends at %llu, but the file holds only %llu bytes",
                           file->path, e->name, (unsigned long long)e->end,
                           (unsigned long long)data_bytes);
        at = e->end;
    }
    if (at != data_bytes)
        return err_set(err, ST_CORRUPT, "%s: tensors end at %llu, but the file holds %llu bytes",
                       file->path, (unsigned long long)at, (unsigned long long)data_bytes);
    return ST_OK;
}

static enum status find_header(struct safetensors *file, struct err *err)
{
    uint64_t header_bytes = 0;

    if (file->n_bytes < SIZE_FIELD)
        return err_set(err, ST_CORRUPT, "%s: %zu bytes are too short for a safetensors file",
                       file->path, file->n_bytes);
    for (int i = 0; i < SIZE_FIELD; i++)
        header_bytes |= (uint64_t)file->bytes[i] << (8 * i);
    if (header_bytes > JSON_DOC_MAX_BYTES)
        return err_set(err, ST_CORRUPT, "%s: header of %llu bytes, at most %d are allowed",
                       file->path, (unsigned long long)header_bytes, JSON_DOC_MAX_BYTES);
    if (header_bytes > file->n_bytes - SIZE_FIELD)
        return err_set(err, ST_CORRUPT, "%s: header of %llu bytes in a file of %zu bytes",
                       file->path, (unsigned long long)header_bytes, file->n_bytes);
    file->data_at = SIZE_FIELD + (size_t)header_bytes;
    if (header_bytes == 0 || file->bytes[SIZE_FIELD] != '{')
        return err_set(err, ST_CORRUPT, "%s: the header must begin with '{'", file->path);
    return ST_OK;
}

static enum status read_header(struct safetensors *file, struct err *err)
{
    json_t *root = NULL;
    enum status st = find_header(file, err);

    if (st == ST_OK)
        st = json_doc_parse(&root, (const char *)file->bytes + SIZE_FIELD,
                            file->data_at - SIZE_FIELD, file->path, err);
    if (st == ST_OK)
        st = parse_entries(file, root, err);
    if (st == ST_OK)
        st = check_tiling(file, err);
    if (st == ST_OK)
        qsort(file->entry, file->n_entries, sizeof *file->entry, by_name);
    json_decref(root);
    return st;
}

enum status safetensors_parse(struct safetensors *out, const uint8_t *bytes, size_t n_bytes,
                              const char *name, struct err *err)
{
    struct safetensors file = {.bytes = bytes, .n_bytes = n_bytes};
    enum status st;

    file.path = mem_strdup(name);
    st = read_header(&file, err);
    if (st == ST_OK)
        *out = file;
    else
        safetensors_release(&file);
    return st;
}

static enum status map_fd(int fd, uint8_t **out, size_t *out_bytes, const char *path,
                          struct err *err)
{
    struct stat info;
    void *map;

    if (fstat(fd, &info) != 0)
        return err_set(err, ST_IO, "fstat %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, ST_CORRUPT, "%s: not a regular file", path);
    if (info.st_size < SIZE_FIELD) /* also: an empty mapping is an error */
        return err_set(err, ST_CORRUPT, "%s: %lld bytes are too short for a safetensors file", path,
                       (long long)info.st_size);
    map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, ST_IO, "mmap %s: %s", path, strerror(errno));
    *out = map;
    *out_bytes = (size_t)info.st_size;
    return ST_OK;
}

static void unmap(const uint8_t *bytes, size_t n_bytes)
{
    map_guard_remove(bytes);
    munmap((void *)(uintptr_t)bytes, n_bytes);
}

enum status safetensors_open(struct safetensors *out, const char *path, struct err *err)
{
    /* O_NONBLOCK: opening a pipe that stands in the file's place must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n_bytes = 0;
    uint8_t *bytes = NULL;
    enum status st;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ST_NOT_FOUND : ST_IO, "open %s: %s", path,
                       strerror(errno));
    st = map_fd(fd, &bytes, &n_bytes, path, err);
    close(fd);
    if (st != ST_OK)
        return st;
    map_guard_add(bytes, n_bytes, path);
    st = safetensors_parse(out, bytes, n_bytes, path, err);
    if (st == ST_OK)
        out->mapped = true;
    else
        unmap(bytes, n_bytes);
    return st;
}

void safetensors_release(struct safetensors *file)
{
    for (size_t i = 0; i < file->n_entries; i++)
        free(file->entry[i].name);
    free(file->entry);
    free(file->path);
    if (file->mapped)
        unmap(file->bytes, file->n_bytes);
    memset(file, 0, sizeof *file);
}

const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name)
{
    struct safetensors_entry key = {.name = (char *)name};

    return file->n_entries == 0 ? NULL
                                : bsearch(&key, file->entry, file->n_entries, sizeof key, by_name);
}
