#include "orchestrator/study_run.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/study_place.h"

/* ---- its places ---- */

enum status study_run_open(struct study_run *run, const struct group_options *group,
                           struct err *err)
{
    const struct experiment *e = run->e;
    struct group_options own = *group;
    enum status st = ST_OK;

    pthread_mutex_init(&run->lock, NULL);
    run->n_places = e->parallel;
    run->place = mem_array(run->n_places, sizeof(struct study_place *));
    for (uint32_t i = 0; st == ST_OK && i < run->n_places; i++)
        st = place_check(&e->place[i % e->n_places], err);
    for (uint32_t i = 0; st == ST_OK && i < run->n_places; i++) {
        st = study_place_open(&run->place[i], run, i, &own, err);
        if (st == ST_OK && i == 0 && own.link == LINK_RATIO) {
            own.link = LINK_GBPS;
            own.link_value = run->place[0]->verify.link_gbps;
        }
    }
    return st;
}

void study_run_close(struct study_run *run)
{
    if (run->n_places == 0)
        return;
    for (uint32_t i = 0; i < run->n_places; i++)
        study_place_close(run->place[i]);
    pthread_mutex_destroy(&run->lock);
    free(run->place);
    run->place = NULL;
    run->n_places = 0;
}

/* ---- their threads ---- */

struct runner {
    pthread_t thread;
    bool is_started;
    struct study_place *place;
    enum status st;
    struct err err;
};

static void *run_place(void *self)
{
    struct runner *r = self;

    r->st = study_place_run(r->place, &r->err);
    return NULL;
}

static enum status start(struct runner *r, struct study_place *place, struct err *err)
{
    int error;

    r->place = place;
    error = pthread_create(&r->thread, NULL, run_place, r);
    r->is_started = error == 0;
    return error == 0 ? ST_OK : err_set(err, ST_IO, "pthread_create: %s", strerror(error));
}

enum status study_run(struct study_run *run, struct err *err)
{
    struct runner *runner = mem_array(run->n_places, sizeof *runner);
    enum status st = ST_OK;

    run->scheduler = scheduler_open(run->matrix, run->done, run->n_places);
    for (uint32_t i = 0; st == ST_OK && i < run->n_places; i++)
        st = start(&runner[i], run->place[i], err);
    if (st != ST_OK)
        scheduler_stop(run->scheduler);
    for (uint32_t i = 0; i < run->n_places; i++) {
        if (runner[i].is_started)
            pthread_join(runner[i].thread, NULL);
        if (st == ST_OK && runner[i].st != ST_OK) {
            st = runner[i].st;
            *err = runner[i].err;
        }
    }
    run_watch_clear(run->watch);
    scheduler_close(run->scheduler);
    run->scheduler = NULL;
    free(runner);
    return st;
}
