#include "orchestrator/yaml_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_words(enum yaml_kind kind)
{
    return kind == YAML_SCALAR ? "one value" : kind == YAML_LIST ? "a list" : "a mapping";
}

enum status yaml_expect(const struct yaml_node *node, const char *what, enum yaml_kind kind,
                        struct err *err)
{
    if (node->kind == kind)
        return ST_OK;
    return yaml_refuse(node, err, "%s is %s; %s would be right", what, kind_words(node->kind),
                       kind_words(kind));
}

static bool parse_integer(const char *text, uint64_t *out)
{
    size_t n = strlen(text);
    if (n == 0 || n > 19 || strspn(text, "0123456789") != n || (text[0] == '0' && n > 1))
        return false;
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return errno == 0;
}

/* Quotes are said, since without them the value may be right. */
static const char *quote(const struct yaml_node *node)
{
    return node->plain ? "" : "\"";
}

enum status yaml_integer(const struct yaml_node *node, const char *what, uint64_t min, uint64_t max,
                         uint64_t *out, struct err *err)
{
    uint64_t value = 0;
    enum status st = yaml_expect(node, what, YAML_SCALAR, err);
    if (st != ST_OK)
        return st;
    if (!node->plain || !parse_integer(node->text, &value) || value < min || value > max)
        return yaml_refuse(
            node, err,
            "%s is %s%.40s%s; a whole number from %" PRIu64 " to %" PRIu64 " would be right", what,
            node->plain ? "" : "\"", node->text, node->plain ? "" : "\"", min, max);
    *out = value;
    return ST_OK;
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    size_t n = strlen(text);
    /* The set keeps out what strtod knows beside decimals: hex, inf, nan, blanks. */
    if (n == 0 || n > 40 || strspn(text, "0123456789.eE+-") != n || text[0] == '+')
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

enum status yaml_real(const struct yaml_node *node, const char *what, struct yaml_range range,
                      double *out, struct err *err)
{
    double value = 0;
    enum status st = yaml_expect(node, what, YAML_SCALAR, err);
    if (st != ST_OK)
        return st;
    if (!node->plain || !parse_real(node->text, &value) || value < range.min || value > range.max ||
        (range.open_min && value == range.min))
        return yaml_refuse(node, err,
                           "%s is %s%.40s%s; a number %s %g and at most %g would be right", what,
                           quote(node), node->text, quote(node),
                           range.open_min ? "above" : "of at least", range.min, range.max);
    *out = value;
    return ST_OK;
}

enum status yaml_bool(const struct yaml_node *node, const char *what, bool *out, struct err *err)
{
    enum status st = yaml_expect(node, what, YAML_SCALAR, err);
    if (st != ST_OK)
        return st;
    bool yes = strcmp(node->text, "true") == 0;
    if (!node->plain || (!yes && strcmp(node->text, "false") != 0))
        return yaml_refuse(node, err, "%s is %s%.40s%s; true or false would be right", what,
                           quote(node), node->text, quote(node));
    *out = yes;
    return ST_OK;
}

enum status yaml_choice(const struct yaml_node *node, const char *what, const char *choices,
                        uint32_t *out, struct err *err)
{
    uint32_t index = 0;
    enum status st = yaml_expect(node, what, YAML_SCALAR, err);
    if (st != ST_OK)
        return st;
    for (const char *at = choices; *at != '\0'; index++) {
        size_t n = strcspn(at, "|");
        if (strlen(node->text) == n && memcmp(node->text, at, n) == 0) {
            *out = index;
            return ST_OK;
        }
        at += n + (at[n] == '|');
    }
    return yaml_refuse(node, err, "%s is %.40s; one of %s would be right", what, node->text,
                       choices);
}

enum status yaml_text(const struct yaml_node *node, const char *what, size_t max_bytes,
                      const char **out, struct err *err)
{
    enum status st = yaml_expect(node, what, YAML_SCALAR, err);
    if (st != ST_OK)
        return st;
    size_t n = strlen(node->text);
    if (n == 0 || (node->plain && strcmp(node->text, "~") == 0))
        return yaml_refuse(node, err, "%s is empty; a text would be right", what);
    if (n > max_bytes)
        return yaml_refuse(node, err, "%s has %zu bytes; at most %zu would be right", what, n,
                           max_bytes);
    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)node->text[i]))
            return yaml_refuse(node, err,
                               "%s holds a control character; one line of text would "
                               "be right",
                               what);
    *out = node->text;
    return ST_OK;
}

enum status yaml_word(const struct yaml_node *node, const char *what, size_t max_bytes,
                      const char **out, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";
    const char *text = NULL;
    enum status st = yaml_text(node, what, max_bytes, &text, err);
    if (st != ST_OK)
        return st;
    if (strspn(text, letters) != strlen(text) || !isalnum((unsigned char)text[0]))
        return yaml_refuse(
            node, err, "%s is %.40s; letters, digits, '_', '-' and '.' would be right", what, text);
    *out = text;
    return ST_OK;
}
