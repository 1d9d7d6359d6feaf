#include "orchestrator/slurm_manifest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/whole_file.h"

/* `launcher`, made where it is absent or not ours. */
static json_t *launcher(const struct run_record *run)
{
    json_t *found = json_object_get(run->root, "launcher");

    if (json_is_array(json_object_get(found, "jobs")) &&
        json_is_array(json_object_get(found, "parts")))
        return found;
    json_object_set_new(run->root, "launcher",
                        json_pack("{s:s, s:[], s:[]}", "kind", "slurm", "jobs", "parts"));
    return json_object_get(run->root, "launcher");
}

static enum status write(const struct run_record *run, struct err *err)
{
    char *text = json_dumps(run->root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    enum status st;

    CHECK(text != NULL);
    st = whole_file_write(run->path, text, strlen(text), err);
    free(text);
    return st;
}

enum status slurm_manifest_job(struct run_record *run, const char *job, struct err *err)
{
    json_array_append_new(json_object_get(launcher(run), "jobs"), json_string(job));
    return write(run, err);
}

bool slurm_manifest_has_part(const struct run_record *run, uint32_t number)
{
    const json_t *parts = json_object_get(json_object_get(run->root, "launcher"), "parts");

    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_object_get(json_array_get(parts, i), "part");
        if (json_is_integer(part) && json_integer_value(part) == (json_int_t)number)
            return true;
    }
    return false;
}

static enum status take_frozen(struct run_record *run, const struct run_record *part,
                               struct err *err)
{
    static const char *const keys[] = {"machine", "store", "memory_gbps"};
    json_t *link = json_object_get(run->root, "link");
    const json_t *theirs = json_object_get(part->root, "link");

    if (run->is_started) {
        /* They agreed on a rate, and each wrote it with nine digits. */
        if (fabs(run->link_gbps - part->link_gbps) > 1e-6 * fabs(run->link_gbps))
            return err_set(err, ST_CORRUPT,
                           "%s: link.gbps is %g and the run's is %g: its cells cannot stand in "
                           "one table",
                           part->path, part->link_gbps, run->link_gbps);
        return ST_OK;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        json_object_set(run->root, keys[i], json_object_get(part->root, keys[i]));
    json_object_set(link, "gbps", json_object_get(theirs, "gbps"));
    json_object_set(link, "simulated", json_object_get(theirs, "simulated"));
    run->is_started = true;
    run->memory_gbps = part->memory_gbps;
    run->link_gbps = part->link_gbps;
    return ST_OK;
}

enum status slurm_manifest_part(struct run_record *run, const struct run_record *part,
                                uint32_t number, struct err *err)
{
    enum status st = take_frozen(run, part, err);

    if (st != ST_OK)
        return st;
    json_array_append_new(json_object_get(launcher(run), "parts"),
                          json_pack("{s:i, s:O, s:O}", "part", (int)number, "machine",
                                    json_object_get(part->root, "machine"), "memory_gbps",
                                    json_object_get(part->root, "memory_gbps")));
    return write(run, err);
}

static bool same_kind(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"cpu_model", "cpus"};
    const json_t *one = json_object_get(a, "machine"), *other = json_object_get(b, "machine");

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!json_equal(json_object_get(one, keys[i]), json_object_get(other, keys[i])))
            return false;
    return true;
}

uint32_t slurm_manifest_kinds(const struct run_record *run)
{
    const json_t *parts = json_object_get(json_object_get(run->root, "launcher"), "parts");
    uint32_t n = 0;

    for (size_t i = 0; i < json_array_size(parts); i++) {
        bool is_new = true;
        for (size_t j = 0; j < i; j++)
            is_new = is_new && !same_kind(json_array_get(parts, i), json_array_get(parts, j));
        n += is_new;
    }
    return n;
}
