/*
 * yaml_tree.h - the small, strict part of YAML that experiment files use.
 *
 * One document of mappings, lists and scalars, every node with its position.
 * Refused, with the position: duplicate keys, keys that are no scalars,
 * anchors, aliases, tags, directives, a second document, too much depth, too
 * many nodes. Scalars stay text; yaml_value.h reads them.
 */
#ifndef ORCHESTRATOR_YAML_TREE_H
#define ORCHESTRATOR_YAML_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum { YAML_MAX_DEPTH = 8, YAML_MAX_NODES = 4096, YAML_PLACE_TEXT = 320 };

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    const char *origin;      /* file or "--set key=value"; owned by the pool */
    uint32_t line, column;   /* from 1; line 0: the origin is no file */
    char *text;              /* scalar; owned */
    bool plain;              /* scalar without quotes */
    uint32_t n;              /* of a list or map */
    struct yaml_node **item; /* [n] values; the array is owned, the nodes are the pool's */
    struct yaml_node **key;  /* map: [n] scalars */
};

/* Owns the nodes of several texts, so that they can be put together. */
struct yaml_pool {
    uint32_t n_nodes;
    struct yaml_node *node[YAML_MAX_NODES];
    uint32_t n_origins;
    char **origin;
};

struct yaml_source {
    const char *origin;
    bool is_file; /* positions are said */
    const char *text;
    size_t n_bytes;
};

/* *out is borrowed until yaml_pool_release. ST_INVALID "origin:line:column: ...". */
enum status yaml_tree_parse(struct yaml_node **out, struct yaml_pool *pool,
                            const struct yaml_source *source, struct err *err);
/* The whole text as one plain scalar, without looking for YAML in it. */
enum status yaml_scalar_new(struct yaml_node **out, struct yaml_pool *pool,
                            const struct yaml_source *source, struct err *err);
void yaml_pool_release(struct yaml_pool *pool); /* a zeroed pool is fine */

/* A new empty map at the place of `like`. ST_INVALID: too many nodes. */
enum status yaml_map_new(struct yaml_node **out, struct yaml_pool *pool,
                         const struct yaml_node *like, struct err *err);
struct yaml_node *yaml_map_find(const struct yaml_node *map, const char *key); /* NULL: absent */
/* Replaces the value in its place, or adds it at the end. `key` is a scalar. */
void yaml_map_put(struct yaml_node *map, struct yaml_node *key, struct yaml_node *value);
void yaml_map_remove(struct yaml_node *map, const char *key); /* absent is fine */

/* "file:line:column" or "--set key=value". */
void yaml_place(const struct yaml_node *node, char buf[YAML_PLACE_TEXT]);
/* ST_INVALID with the node's place in front. */
enum status yaml_refuse(const struct yaml_node *node, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
