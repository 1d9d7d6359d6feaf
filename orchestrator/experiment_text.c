/*
 * The keys that say what the prompts are made of: dataset, skip_short,
 * template, chat.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/dataset.h"
#include "orchestrator/experiment_parts.h"
#include "orchestrator/json_line.h"
#include "orchestrator/yaml_value.h"
#include "text/prompt_template.h"

enum { PATH_BYTES = 1024 };

static enum status read_field(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    const char *text = NULL;
    enum status st = yaml_text(node, "field", JSON_LINE_FIELD_BYTES, &text, err);
    if (st != ST_OK)
        return st;
    if (!json_line_is_field(text))
        return yaml_refuse(node, err,
                           "field is %.128s; a name, or names with dots between (\"a.b\"), would "
                           "be right",
                           text);
    e->dataset_field = mem_strdup(text);
    return ST_OK;
}

/* {path: FILE, field: NAME}, which is JSON Lines. */
static enum status read_lines(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    static const char *const known[] = {"path", "field"};
    const struct yaml_node *path, *field;
    const char *text = NULL;
    enum status st = experiment_check_map(node, "dataset", known, 2, err);
    if (st != ST_OK)
        return st;
    path = yaml_map_find(node, "path");
    field = yaml_map_find(node, "field");
    if (path == NULL)
        return yaml_refuse(node, err,
                           "dataset has no path; {path: FILE.jsonl, field: NAME} would be right");
    st = yaml_text(path, "path", PATH_BYTES, &text, err);
    if (st != ST_OK)
        return st;
    e->dataset = experiment_resolve(e, path, text);
    if (field != NULL)
        return read_field(e, field, err);
    e->dataset_field = mem_strdup(DATASET_FIELD);
    return ST_OK;
}

enum status experiment_text_dataset(struct experiment *e, const struct yaml_node *node,
                                    struct err *err)
{
    const char *text = NULL;
    enum status st;
    e->dataset_at = experiment_place(node);
    if (node->kind == YAML_MAP)
        return read_lines(e, node, err);
    st = yaml_text(node, "dataset", PATH_BYTES, &text, err);
    if (st == ST_OK)
        e->dataset =
            strcmp(text, "demo") == 0 ? mem_strdup(text) : experiment_resolve(e, node, text);
    return st;
}

enum status experiment_text_skip_short(struct experiment *e, const struct yaml_node *node,
                                       struct err *err)
{
    return yaml_bool(node, "skip_short", &e->skip_short, err);
}

static enum status read_template_file(struct experiment *e, const struct yaml_node *node,
                                      struct err *err)
{
    static const char *const known[] = {"file"};
    const char *text = NULL;
    enum status st = experiment_check_map(node, "template", known, 1, err);
    if (st == ST_OK && node->n == 0)
        st = yaml_refuse(node, err, "template has no file; {file: PATH} would be right");
    if (st == ST_OK)
        st = yaml_text(node->item[0], "file", PATH_BYTES, &text, err);
    if (st == ST_OK)
        e->template_file = experiment_resolve(e, node->item[0], text);
    return st;
}

enum status experiment_text_template(struct experiment *e, const struct yaml_node *node,
                                     struct err *err)
{
    struct err ignored = {{0}};
    uint32_t index = 0;
    e->template_at = experiment_place(node);
    if (node->kind == YAML_MAP)
        return read_template_file(e, node, err);
    if (yaml_choice(node, "template", prompt_template_words, &index, &ignored) != ST_OK)
        return yaml_refuse(node, err, "template is %.40s; one of %s or {file: PATH} would be right",
                           node->kind == YAML_LIST ? "a list" : node->text, prompt_template_words);
    e->template_word = mem_strdup(node->text);
    return ST_OK;
}

enum status experiment_text_chat(struct experiment *e, const struct yaml_node *node,
                                 struct err *err)
{
    return yaml_bool(node, "chat", &e->chat, err);
}
