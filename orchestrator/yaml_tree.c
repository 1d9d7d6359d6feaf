#include "orchestrator/yaml_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/mem.h"

/* The lists and maps that are open, outermost first. */
struct builder {
    struct yaml_pool *pool;
    const struct yaml_source *source;
    const char *origin;
    struct yaml_node *root;
    struct yaml_node *open[YAML_MAX_DEPTH];
    struct yaml_node *key[YAML_MAX_DEPTH]; /* of a map: read, its value not yet */
    uint32_t depth;
    uint32_t n_documents;
};

void yaml_place(const struct yaml_node *node, char buf[YAML_PLACE_TEXT])
{
    if (node->line == 0)
        snprintf(buf, YAML_PLACE_TEXT, "%s", node->origin);
    else
        snprintf(buf, YAML_PLACE_TEXT, "%s:%u:%u", node->origin, node->line, node->column);
}

enum status yaml_refuse(const struct yaml_node *node, struct err *err, const char *fmt, ...)
{
    char place[YAML_PLACE_TEXT];
    char words[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    yaml_place(node, place);
    return err_set(err, ST_INVALID, "%s: %s", place, words);
}

static enum status refuse_mark(const struct builder *b, yaml_mark_t mark, struct err *err,
                               const char *words)
{
    struct yaml_node at = {.origin = b->origin,
                           .line = b->source->is_file ? (uint32_t)mark.line + 1 : 0,
                           .column = (uint32_t)mark.column + 1};
    return yaml_refuse(&at, err, "%s", words);
}

static enum status node_new(struct yaml_node **out, struct yaml_pool *pool, struct yaml_node from,
                            struct err *err)
{
    if (pool->n_nodes == YAML_MAX_NODES)
        return yaml_refuse(&from, err, "more than %d values; an experiment file needs far fewer",
                           YAML_MAX_NODES);
    struct yaml_node *node = mem_alloc(sizeof *node);
    *node = from;
    pool->node[pool->n_nodes++] = node;
    *out = node;
    return ST_OK;
}

static struct yaml_node node_at(const struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    return (struct yaml_node){.kind = kind,
                              .origin = b->origin,
                              .line = b->source->is_file ? (uint32_t)mark.line + 1 : 0,
                              .column = (uint32_t)mark.column + 1};
}

static void list_add(struct yaml_node *list, struct yaml_node *item)
{
    list->item = mem_resize(list->item, list->n + 1, sizeof *list->item);
    list->item[list->n++] = item;
}

static enum status take_key(struct builder *b, struct yaml_node *node, struct err *err)
{
    struct yaml_node *map = b->open[b->depth - 1];
    if (node->kind != YAML_SCALAR)
        return yaml_refuse(node, err, "a key is a word, not a %s",
                           node->kind == YAML_LIST ? "list" : "mapping");
    for (uint32_t i = 0; i < map->n; i++) {
        if (strcmp(map->key[i]->text, node->text) != 0)
            continue;
        return yaml_refuse(node, err, "\"%.64s\" stands twice, first in line %u", node->text,
                           map->key[i]->line);
    }
    b->key[b->depth - 1] = node;
    return ST_OK;
}

/* Puts a finished scalar or a just opened list or map where it belongs. */
static enum status place_node(struct builder *b, struct yaml_node *node, struct err *err)
{
    if (b->depth == 0) {
        b->root = node;
        return ST_OK;
    }
    struct yaml_node *parent = b->open[b->depth - 1];
    if (parent->kind == YAML_LIST) {
        list_add(parent, node);
        return ST_OK;
    }
    if (b->key[b->depth - 1] == NULL)
        return take_key(b, node, err);
    yaml_map_put(parent, b->key[b->depth - 1], node);
    b->key[b->depth - 1] = NULL;
    return ST_OK;
}

static enum status on_open(struct builder *b, enum yaml_kind kind, const yaml_event_t *event,
                           struct err *err)
{
    struct yaml_node *node = NULL;
    if (b->depth == YAML_MAX_DEPTH)
        return refuse_mark(b, event->start_mark, err, "nested too deeply (8 levels at most)");
    enum status st = node_new(&node, b->pool, node_at(b, kind, event->start_mark), err);
    if (st == ST_OK)
        st = place_node(b, node, err);
    if (st != ST_OK)
        return st;
    b->open[b->depth] = node;
    b->key[b->depth++] = NULL;
    return ST_OK;
}

static enum status on_scalar(struct builder *b, const yaml_event_t *event, struct err *err)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    struct yaml_node from = node_at(b, YAML_SCALAR, event->start_mark);
    struct yaml_node *node = NULL;

    if (memchr(text, 0, n) != NULL)
        return refuse_mark(b, event->start_mark, err, "a NUL character in a text");
    from.plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum status st = node_new(&node, b->pool, from, err);
    if (st != ST_OK)
        return st;
    node->text = mem_strdup(text);
    return place_node(b, node, err);
}

static enum status on_document(struct builder *b, const yaml_event_t *event, struct err *err)
{
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
        return refuse_mark(b, event->start_mark, err, "% directives are not understood");
    if (++b->n_documents > 1)
        return refuse_mark(b, event->start_mark, err,
                           "a second document; one file is one experiment");
    return ST_OK;
}

/* Anchors and tags are refused for all kinds of nodes alike. */
static enum status check_plain_node(struct builder *b, const yaml_event_t *event, struct err *err)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL || event->type == YAML_ALIAS_EVENT)
        return refuse_mark(b, event->start_mark, err,
                           "anchors and aliases (& and *) are not understood; repeat the value");
    if (tag != NULL)
        return refuse_mark(b, event->start_mark, err,
                           "tags (!) are not understood; write the plain value");
    return ST_OK;
}

static enum status on_event(struct builder *b, const yaml_event_t *event, struct err *err)
{
    enum status st = check_plain_node(b, event, err);
    if (st != ST_OK)
        return st;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event, err);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, YAML_LIST, event, err);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, YAML_MAP, event, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return ST_OK;
    default:
        return ST_OK;
    }
}

/* Errors of the byte reader (not UTF-8, control characters) carry an offset only. */
static yaml_mark_t offset_mark(const struct yaml_source *source, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < source->n_bytes; i++) {
        unsigned char c = (unsigned char)source->text[i];
        if (c == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((c & 0xC0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static enum status syntax_error(const struct builder *b, const yaml_parser_t *parser,
                                struct err *err)
{
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR)
        mark = offset_mark(b->source, parser->problem_offset);
    return refuse_mark(b, mark, err, parser->problem != NULL ? parser->problem : "no YAML");
}

static enum status run_parser(struct builder *b, yaml_parser_t *parser, struct err *err)
{
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return syntax_error(b, parser, err);
        done = event.type == YAML_STREAM_END_EVENT;
        enum status st = on_event(b, &event, err);
        yaml_event_delete(&event);
        if (st != ST_OK)
            return st;
    }
    if (b->root == NULL)
        return refuse_mark(b, (yaml_mark_t){0}, err, "nothing is said here");
    return ST_OK;
}

static const char *keep_origin(struct yaml_pool *pool, const struct yaml_source *source)
{
    pool->origin = mem_resize(pool->origin, pool->n_origins + 1, sizeof *pool->origin);
    pool->origin[pool->n_origins] = mem_strdup(source->origin);
    return pool->origin[pool->n_origins++];
}

enum status yaml_tree_parse(struct yaml_node **out, struct yaml_pool *pool,
                            const struct yaml_source *source, struct err *err)
{
    yaml_parser_t parser;
    struct builder b = {.pool = pool, .source = source, .origin = keep_origin(pool, source)};

    CHECK(yaml_parser_initialize(&parser)); /* fails for want of memory only */
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)source->text, source->n_bytes);
    enum status st = run_parser(&b, &parser, err);
    yaml_parser_delete(&parser);
    if (st == ST_OK)
        *out = b.root;
    return st;
}

enum status yaml_scalar_new(struct yaml_node **out, struct yaml_pool *pool,
                            const struct yaml_source *source, struct err *err)
{
    struct yaml_node *node = NULL;
    struct yaml_node from = {.kind = YAML_SCALAR,
                             .origin = keep_origin(pool, source),
                             .line = source->is_file ? 1 : 0,
                             .column = 1,
                             .plain = true};
    enum status st = node_new(&node, pool, from, err);
    if (st != ST_OK)
        return st;
    node->text = mem_printf("%.*s", (int)source->n_bytes, source->text);
    *out = node;
    return ST_OK;
}

void yaml_pool_release(struct yaml_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_nodes; i++) {
        free(pool->node[i]->text);
        free(pool->node[i]->item);
        free(pool->node[i]->key);
        free(pool->node[i]);
    }
    for (uint32_t i = 0; i < pool->n_origins; i++)
        free(pool->origin[i]);
    free(pool->origin);
    *pool = (struct yaml_pool){0};
}

enum status yaml_map_new(struct yaml_node **out, struct yaml_pool *pool,
                         const struct yaml_node *like, struct err *err)
{
    struct yaml_node from = {
        .kind = YAML_MAP, .origin = like->origin, .line = like->line, .column = like->column};
    return node_new(out, pool, from, err);
}

struct yaml_node *yaml_map_find(const struct yaml_node *map, const char *key)
{
    for (uint32_t i = 0; i < map->n; i++)
        if (strcmp(map->key[i]->text, key) == 0)
            return map->item[i];
    return NULL;
}

void yaml_map_put(struct yaml_node *map, struct yaml_node *key, struct yaml_node *value)
{
    for (uint32_t i = 0; i < map->n; i++) {
        if (strcmp(map->key[i]->text, key->text) != 0)
            continue;
        map->key[i] = key;
        map->item[i] = value;
        return;
    }
    map->key = mem_resize(map->key, map->n + 1, sizeof *map->key);
    map->item = mem_resize(map->item, map->n + 1, sizeof *map->item);
    map->key[map->n] = key;
    map->item[map->n++] = value;
}

void yaml_map_remove(struct yaml_node *map, const char *key)
{
    for (uint32_t i = 0; i < map->n; i++) {
        if (strcmp(map->key[i]->text, key) != 0)
            continue;
        map->n--;
        for (uint32_t j = i; j < map->n; j++) {
            map->key[j] = map->key[j + 1];
            map->item[j] = map->item[j + 1];
        }
        return;
    }
}
