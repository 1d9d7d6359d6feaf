#include "orchestrator/doctor.h"

#include <string.h>

/* Decimal gigabytes, as in the refusals of memory_plan.h. */
static double gb(uint64_t bytes)
{
    return (double)bytes * 1e-9;
}

static void say_memory(struct doctor_list *list, const struct doctor_facts *f,
                       const struct run_plan *p)
{
    uint64_t device = memory_plan_device_bytes(&p->memory, &p->shape);
    uint64_t total = p->need.arena_bytes + p->need.weight_bytes + device;
    uint64_t left = memory_room_free(&f->room);
    bool fits = total <= left;
    char of[32] = "";

    if (left != UINT64_MAX)
        snprintf(of, sizeof of, " of %.2f", gb(left));
    doctor_list_add(list, fits ? DOCTOR_OK : DOCTOR_PROBLEM, "needs",
                    fits ? NULL : "a shorter prefill, or a machine or limit with more memory",
                    "%.2f%s GB: arena %.2f, weights %.2f, device KV %.2f", gb(total), of,
                    gb(p->need.arena_bytes), gb(p->need.weight_bytes), gb(device));
}

static void say_arena(struct doctor_list *list, const struct doctor_facts *f,
                      const struct run_plan *p)
{
    const struct memory_room *room = &f->room;
    double need = gb(p->need.arena_bytes);
    const char *memfd = f->memfd ? "arena: memfd" : "a larger /dev/shm (docker: --shm-size)";

    if (!p->need.posix && f->memfd)
        doctor_list_add(list, DOCTOR_OK, "arena", NULL, "memfd of %.2f GB", need);
    else if (!p->need.posix)
        doctor_list_add(list, DOCTOR_PROBLEM, "arena", "arena: posix",
                        "memfd of %.2f GB, and memfd is forbidden here", need);
    else if (!room->has_shm)
        doctor_list_add(list, DOCTOR_PROBLEM, "arena", memfd,
                        "%.2f GB in /dev/shm, which is absent", need);
    else if (p->need.arena_bytes > room->shm_free_bytes)
        doctor_list_add(list, DOCTOR_PROBLEM, "arena", memfd,
                        "%.2f GB in /dev/shm, which has %.2f GB free", need,
                        gb(room->shm_free_bytes));
    else
        doctor_list_add(list, DOCTOR_OK, "arena", NULL, "%.2f of %.2f GB of /dev/shm", need,
                        gb(room->shm_free_bytes));
}

static void say_node(struct doctor_list *list, const struct doctor_facts *f,
                     const struct run_plan *p, int wanted)
{
    const struct doctor_node *node = NULL;

    if (wanted < 0)
        return;
    for (uint32_t i = 0; i < f->n_nodes; i++)
        if (f->node[i].number == (uint32_t)wanted)
            node = &f->node[i];
    if (node == NULL)
        doctor_list_add(list, DOCTOR_PROBLEM, "numa_node", "numa_node: none, or one that is there",
                        "node %d is not on this machine", wanted);
    else if (node->free_bytes < p->need.arena_bytes)
        doctor_list_add(list, DOCTOR_NOTE, "numa_node", "numa_node: none",
                        "node %d has %.2f GB free: the arena may not lie on it alone", wanted,
                        gb(node->free_bytes));
    else
        doctor_list_add(list, DOCTOR_OK, "numa_node", NULL, "%d, with %.2f GB free", wanted,
                        gb(node->free_bytes));
}

static void say_device(struct doctor_list *list, const struct doctor_facts *f, const char *role,
                       const char *name)
{
    char remedy[64];

    for (uint32_t i = 0; i < f->n_devices; i++) {
        const struct doctor_device *d = &f->device[i];
        if (strcmp(d->name, name) != 0 || d->is_usable || !d->is_asked)
            continue;
        snprintf(remedy, sizeof remedy, "--set devices.%s=cpu:0", role);
        doctor_list_add(list, DOCTOR_PROBLEM, role, remedy, "%s", d->why);
    }
}

static void say_threads(struct doctor_list *list, const struct doctor_facts *f,
                        const struct run_plan *p)
{
    if (p->e->threads > f->machine.n_cpus)
        doctor_list_add(list, DOCTOR_NOTE, "threads", "threads: 0 takes all CPUs",
                        "%u for %u CPUs: they will wait for each other", p->e->threads,
                        f->machine.n_cpus);
}

static void say_place(struct doctor_list *list, const struct doctor_facts *f,
                      const struct run_plan *p, const struct place *place)
{
    struct err why = {{0}};

    say_node(list, f, p, place->numa_node);
    say_device(list, f, "verify", place->verify);
    if (p->speculates)
        say_device(list, f, "draft", place->draft);
    if (place_check(place, &why) != ST_OK)
        doctor_list_add(list, DOCTOR_PROBLEM, "cpus", "cpus: CPUs of this machine", "%s", why.text);
}

void doctor_study(struct doctor_list *list, const struct doctor_facts *f, const struct run_plan *p)
{
    doctor_list_add(list, DOCTOR_OK, "study", NULL,
                    "%s: %u trials on %u prompts, up to %u + %u tokens", p->e->name,
                    p->matrix->n_trials, p->matrix->n_prompts, p->memory.max_prompt,
                    p->memory.max_generated);
    say_memory(list, f, p);
    say_arena(list, f, p);
    for (uint32_t i = 0; i < p->e->n_places; i++)
        say_place(list, f, p, &p->e->place[i]);
    say_threads(list, f, p);
}
