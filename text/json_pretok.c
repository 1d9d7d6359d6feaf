#include <string.h>

#include "text/byte_level.h"
#include "text/json_parts.h"
#include "text/utf8.h"

static enum status read_sequence(struct pretok *pretok, const json_t *node, int depth,
                                 struct err *err)
{
    const json_t *list = json_object_get(node, "pretokenizers"), *item;
    size_t i;

    if (!json_is_array(list))
        return err_set(err, ST_CORRUPT, "pretokenizers is missing or not an array");
    json_array_foreach(list, i, item)
    {
        enum status st = json_pretok_read(pretok, item, depth + 1, err);

        if (st != ST_OK)
            return err_in(err, st, "pretokenizers[%zu]", i);
    }
    return ST_OK;
}

/* Adds a split by a pattern of our own or of the file's. */
static enum status push_split(struct pretok *pretok, enum pattern_syntax syntax, const char *text,
                              enum pretok_behavior behavior, struct err *err)
{
    struct pretok_stage stage = {.kind = PRETOK_SPLIT, .behavior = behavior};
    enum status st = pattern_open(&stage.pattern, syntax, text, strlen(text), err);

    return st == ST_OK ? pretok_push(pretok, &stage, err) : st;
}

static enum status push_prefix(struct pretok *pretok, const char *text, size_t n, bool only_first,
                               struct err *err)
{
    struct pretok_stage stage = {.kind = PRETOK_PREFIX, .only_first = only_first, .n_text = n};

    stage.text = text_copy(text, n);
    return pretok_push(pretok, &stage, err);
}

static enum status read_split(struct pretok *pretok, const json_t *node, struct err *err)
{
    static const char *const names[] = {
        [PRETOK_REMOVED] = "Removed",
        [PRETOK_ISOLATED] = "Isolated",
        [PRETOK_CONTIGUOUS] = "Contiguous",
        [PRETOK_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [PRETOK_MERGED_WITH_NEXT] = "MergedWithNext",
    };
    const unsigned n_names = sizeof names / sizeof names[0];
    struct pretok_stage stage = {.kind = PRETOK_SPLIT};
    const char *name;
    size_t n;
    unsigned i = 0;
    enum status st = json_parts_string(node, "behavior", &name, &n, err);

    if (st == ST_OK)
        st = json_parts_bool(node, "invert", false, &stage.invert, err);
    if (st != ST_OK)
        return st;
    while (i < n_names && strcmp(name, names[i]) != 0)
        i++;
    if (i == n_names)
        return err_set(err, ST_UNSUPPORTED, "behavior '%.40s' is not supported", name);
    stage.behavior = (enum pretok_behavior)i;
    st = json_parts_pattern(node, "pattern", &stage.pattern, err);
    return st == ST_OK ? pretok_push(pretok, &stage, err) : st;
}

static enum status read_byte_level(struct pretok *pretok, const json_t *node, struct err *err)
{
    struct pretok_stage spell = {.kind = PRETOK_SPELL};
    bool add_space, use_regex;
    enum status st = json_parts_bool(node, "add_prefix_space", true, &add_space, err);

    if (st == ST_OK)
        st = json_parts_bool(node, "use_regex", true, &use_regex, err);
    if (st == ST_OK && add_space)
        st = push_prefix(pretok, " ", 1, false, err);
    if (st == ST_OK && use_regex)
        st = push_split(pretok, PATTERN_REGEX, BYTE_LEVEL_PATTERN, PRETOK_ISOLATED, err);
    return st == ST_OK ? pretok_push(pretok, &spell, err) : st;
}

/* prepend_scheme, or in older files add_prefix_space: false for "never". */
static enum status prefix_scheme(const json_t *node, bool *prepend, bool *only_first,
                                 struct err *err)
{
    const json_t *scheme = json_object_get(node, "prepend_scheme");
    const char *name = json_string_value(scheme);

    *only_first = false;
    if (scheme == NULL)
        return json_parts_bool(node, "add_prefix_space", true, prepend, err);
    if (name == NULL ||
        (strcmp(name, "always") != 0 && strcmp(name, "first") != 0 && strcmp(name, "never") != 0))
        return err_set(err, ST_CORRUPT, "prepend_scheme is not always, first or never");
    *prepend = strcmp(name, "never") != 0;
    *only_first = strcmp(name, "first") == 0;
    return ST_OK;
}

static enum status read_metaspace(struct pretok *pretok, const json_t *node, struct err *err)
{
    struct pretok_stage spaces = {.kind = PRETOK_SUBSTITUTE};
    const char *mark;
    size_t n;
    bool prepend, only_first, split;
    enum status st = json_parts_string(node, "replacement", &mark, &n, err);

    if (st == ST_OK && (n == 0 || utf8_len(mark, n) != n))
        st = err_set(err, ST_CORRUPT, "replacement is not one character");
    if (st == ST_OK)
        st = prefix_scheme(node, &prepend, &only_first, err);
    if (st == ST_OK)
        st = json_parts_bool(node, "split", true, &split, err);
    if (st == ST_OK)
        st = pattern_open(&spaces.pattern, PATTERN_LITERAL, " ", 1, err);
    if (st != ST_OK)
        return st;
    spaces.text = text_copy(mark, n);
    spaces.n_text = n;
    st = pretok_push(pretok, &spaces, err);
    if (st == ST_OK && prepend)
        st = push_prefix(pretok, mark, n, only_first, err);
    if (st == ST_OK && split)
        st = push_split(pretok, PATTERN_LITERAL, mark, PRETOK_MERGED_WITH_NEXT, err);
    return st;
}

static enum status read_digits(struct pretok *pretok, const json_t *node, struct err *err)
{
    bool individual;
    enum status st = json_parts_bool(node, "individual_digits", false, &individual, err);

    if (st != ST_OK)
        return st;
    return push_split(pretok, PATTERN_REGEX, "\\p{N}",
                      individual ? PRETOK_ISOLATED : PRETOK_CONTIGUOUS, err);
}

enum status json_pretok_read(struct pretok *pretok, const json_t *node, int depth, struct err *err)
{
    const char *type;
    enum status st;

    if (depth == 0 && (node == NULL || json_is_null(node)))
        return ST_OK;
    if (depth > JSON_MAX_NESTING)
        return err_set(err, ST_CORRUPT, "nested deeper than %d", JSON_MAX_NESTING);
    st = json_parts_type(node, &type, err);
    if (st != ST_OK)
        return st;
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(pretok, node, depth, err);
    if (strcmp(type, "Split") == 0)
        return read_split(pretok, node, err);
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(pretok, node, err);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(pretok, node, err);
    if (strcmp(type, "Digits") == 0)
        return read_digits(pretok, node, err);
    return err_set(err, ST_UNSUPPORTED,
                   "type '%.40s' is not supported (Sequence, Split, ByteLevel, Metaspace and "
                   "Digits are)",
                   type);
}
