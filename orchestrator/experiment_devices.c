/*
 * The keys that say where a study runs: devices, parallel, share_devices and
 * numa_node. They are read together, because each is checked against the others.
 */
#include <stdio.h>
#include <string.h>

#include "orchestrator/experiment_parts.h"
#include "orchestrator/yaml_value.h"

static enum status read_device(const struct yaml_node *node, const char *what,
                               char out[PLACE_DEVICE], struct err *err)
{
    const char *text = NULL;
    enum status st = yaml_text(node, what, PLACE_DEVICE - 1, &text, err);
    if (st != ST_OK)
        return st;
    const char *digits = strncmp(text, "cpu:", 4) == 0    ? text + 4
                         : strncmp(text, "cuda:", 5) == 0 ? text + 5
                                                          : "";
    size_t n = strlen(digits);
    if (n == 0 || n > 3 || strspn(digits, "0123456789") != n)
        return yaml_refuse(node, err, "%s is %s; cpu:N or cuda:N would be right", what, text);
    snprintf(out, PLACE_DEVICE, "%s", text);
    return ST_OK;
}

static enum status read_cpus(struct place *p, const struct yaml_node *node, struct err *err)
{
    const char *text = NULL;
    struct err why = {{0}};
    enum status st = yaml_text(node, "cpus", CPU_LIST_TEXT, &text, err);
    if (st != ST_OK)
        return st;
    if (cpu_list_parse(&p->cpus, text, &why) != ST_OK)
        return yaml_refuse(node, err, "cpus: %s", why.text);
    p->cpus_at = experiment_place(node);
    return ST_OK;
}

static enum status read_node(const struct yaml_node *node, const char *what, int *out,
                             struct err *err)
{
    uint64_t number = 0;
    if (node->kind == YAML_SCALAR && strcmp(node->text, "none") == 0) {
        *out = -1;
        return ST_OK;
    }
    enum status st = yaml_integer(node, what, 0, 1023, &number, err);
    if (st == ST_OK)
        *out = (int)number;
    return st;
}

/* What the map does not say stays as it is. */
static enum status read_place(struct place *p, const struct yaml_node *map, struct err *err)
{
    static const char *const known[] = {"verify", "draft", "cpus", "numa"};
    enum status st = experiment_check_map(map, "devices", known, 4, err);
    const struct yaml_node *node;

    if (st == ST_OK && (node = yaml_map_find(map, "verify")) != NULL)
        st = read_device(node, "verify", p->verify, err);
    if (st == ST_OK && (node = yaml_map_find(map, "draft")) != NULL)
        st = read_device(node, "draft", p->draft, err);
    if (st == ST_OK && (node = yaml_map_find(map, "cpus")) != NULL)
        st = read_cpus(p, node, err);
    if (st == ST_OK && (node = yaml_map_find(map, "numa")) != NULL)
        st = read_node(node, "numa", &p->numa_node, err);
    return st;
}

static enum status read_places(struct experiment *e, const struct yaml_node *node, struct err *err)
{
    const struct place plain = e->place[0];
    enum status st = ST_OK;

    if (node == NULL || node->kind == YAML_MAP)
        return node != NULL ? read_place(&e->place[0], node, err) : ST_OK;
    if (node->kind != YAML_LIST)
        return yaml_refuse(node, err,
                           "devices is no place; {verify: cpu:0, draft: cpu:0} or a list of such "
                           "would be right");
    if (node->n == 0 || node->n > EXPERIMENT_MAX_PLACES)
        return yaml_refuse(node, err, "devices lists %u places; 1 to %d would be right", node->n,
                           EXPERIMENT_MAX_PLACES);
    e->n_places = node->n;
    for (uint32_t i = 0; i < node->n; i++)
        e->place[i] = plain;
    for (uint32_t i = 0; st == ST_OK && i < node->n; i++)
        st = read_place(&e->place[i], node->item[i], err);
    return st;
}

static enum status read_parallel(struct experiment *e, const struct yaml_node *node,
                                 struct err *err)
{
    uint64_t n = e->n_places;
    enum status st = ST_OK;

    if (node != NULL)
        st = yaml_integer(node, "parallel", 1, EXPERIMENT_MAX_PLACES, &n, err);
    if (st == ST_OK && n > e->n_places && !e->share_devices)
        return yaml_refuse(node, err,
                           "parallel is %u and devices has %u place%s; %s%u, more places, or "
                           "share_devices: true would be right",
                           (uint32_t)n, e->n_places, e->n_places == 1 ? "" : "s",
                           e->n_places == 1 ? "" : "1 to ", e->n_places);
    if (st == ST_OK)
        e->parallel = (uint32_t)n;
    return st;
}

/* `devices` is a list here: one place alone cannot share. */
static enum status check_disjoint(const struct experiment *e, const struct yaml_node *devices,
                                  struct err *err)
{
    for (uint32_t i = 1; i < e->parallel; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const char *device = place_shared_device(&e->place[k], &e->place[i]);
            bool is_cpu = device != NULL && strncmp(device, "cpu:", 4) == 0;
            if (device == NULL)
                continue;
            return yaml_refuse(devices->item[i], err,
                               "places %u and %u would run at once and share %s; %s, parallel: %u, "
                               "or share_devices: true would be right",
                               k + 1, i + 1, is_cpu ? "CPUs" : device,
                               is_cpu ? "cpus that do not overlap" : "another device", i);
        }
    }
    return ST_OK;
}

enum status experiment_devices(struct experiment *e, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *devices = yaml_map_find(root, "devices");
    const struct yaml_node *share = yaml_map_find(root, "share_devices");
    const struct yaml_node *numa = yaml_map_find(root, "numa_node");
    enum status st = ST_OK;

    if (numa != NULL)
        st = read_node(numa, "numa_node", &e->place[0].numa_node, err);
    if (st == ST_OK && share != NULL)
        st = yaml_bool(share, "share_devices", &e->share_devices, err);
    if (st == ST_OK)
        st = read_places(e, devices, err);
    if (st == ST_OK)
        st = read_parallel(e, yaml_map_find(root, "parallel"), err);
    if (st == ST_OK && !e->share_devices)
        st = check_disjoint(e, devices, err);
    return st;
}
