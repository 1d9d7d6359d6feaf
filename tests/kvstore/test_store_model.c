/*
 * A seeded random walk over the verbs against a simple oracle: for every
 * sequence and lease, the stamp that each of its pages must hold. Every page is
 * stamped when it is reserved, so two owners of one page would be seen.
 */
#include "tests/kvstore/store_fixture.h"

#include "common/rng.h"
#include "tests/kvstore/arena_check.h"
#include "tests/kvstore/store_model.h"

enum { OPS = 240000, CHECK_EVERY = 40 };

static struct model m;

static uint32_t draw(uint32_t index, uint32_t below)
{
    return (uint32_t)(rng_uniform(20, RNG_TEST, m.op, index) * below);
}

static uint64_t read_stamp(const struct msg_page_map *map, uint32_t layer, uint32_t page)
{
    uint64_t stamp, at = page_offset(map, layer, page);

    assert_true(at < UNITS * MIB2);
    memcpy(&stamp, m.f.base + at, sizeof stamp);
    return stamp;
}

static void check_pages(const struct msg_page_map *map, uint64_t stamp[MAX_LAYERS][MAX_PAGES])
{
    for (uint32_t layer = map->first_layer; layer < map->n_layers; layer++)
        for (uint32_t page = 0; page < map->n_pages; page++)
            assert_int_equal(read_stamp(map, layer, page), stamp[layer][page]);
}

static struct model_seq *pick_seq(uint32_t index)
{
    struct model_seq *s = &m.seq[draw(index, MAX_THINGS)];

    return s->id ? s : NULL;
}

static bool may_write(const struct model_seq *s, uint32_t client)
{
    return s->keep || s->owner == client;
}

static void forget_seq(struct model_seq *s)
{
    free(s->reserved.run);
    memset(s, 0, offsetof(struct model_seq, stamp));
    s->reserved = (struct msg_page_map){0};
}

static void forget_lease(struct model_lease *l)
{
    free(l->map.run);
    l->map = (struct msg_page_map){0};
    l->id = 0;
}

static void end_reservation(struct model_seq *s)
{
    free(s->reserved.run);
    s->reserved = (struct msg_page_map){0};
    s->reservation = 0;
}

/* Mostly who may, sometimes who comes. */
static uint32_t rightful(uint32_t who, uint32_t right)
{
    return right < N_CLIENTS && draw(9, 8) > 0 ? right : who;
}

static struct model_seq *free_seq(void)
{
    for (int i = 0; i < MAX_THINGS; i++)
        if (!m.seq[i].id)
            return &m.seq[i];
    return NULL;
}

static void do_create(uint32_t who)
{
    static const uint64_t page_bytes[] = {64, 4096, 65536 + 64, 700 * 1024, MIB2 + 64};
    struct model_seq *s = free_seq();
    struct msg_create_seq what = {.n_layers = 1 + draw(2, MAX_LAYERS),
                                  .page_bytes = page_bytes[draw(3, 5)],
                                  .keep = draw(4, 6) == 0,
                                  .blob_bytes = draw(5, 4) == 0 ? 100 : 0};

    if (!s)
        return;
    what.first_layer = draw(6, what.n_layers);
    if (what.keep)
        what.blob_bytes = 0;
    if (ask(&m.client[who], (struct msg){.verb = MSG_CREATE_SEQ, .create_seq = what}) != ST_OK) {
        assert_int_equal(m.client[who].reply->error.status, ST_NO_SPACE);
        assert_int_equal(store_stats(&m.f.store).free_bytes, 0);
        return;
    }
    s->id = m.client[who].reply->seq.seq;
    s->owner = who;
    s->first_layer = what.first_layer;
    s->n_layers = what.n_layers;
    s->page_bytes = what.page_bytes;
    s->keep = what.keep;
}

static void do_fork(uint32_t who)
{
    struct model_seq *from = pick_seq(2), *s = free_seq();
    uint32_t layer, n;

    if (!from || !s)
        return;
    layer = from->first_layer + draw(3, from->n_layers - from->first_layer + 1);
    n = draw(4, from->n_pages + 2);
    if (n > from->n_pages) {
        assert_int_equal(fork_seq(&m.client[who], from->id, layer, n), ST_INVALID);
        return;
    }
    assert_int_equal(fork_seq(&m.client[who], from->id, layer, n), ST_OK);
    s->id = m.client[who].reply->seq.seq;
    s->owner = who;
    s->first_layer = layer;
    s->n_layers = from->n_layers;
    s->n_pages = n;
    s->page_bytes = from->page_bytes;
    memcpy(s->stamp, from->stamp, sizeof s->stamp);
}

static void do_reserve(uint32_t who)
{
    struct model_seq *s = pick_seq(2);
    uint32_t n;
    enum status st;

    if (!s)
        return;
    who = rightful(who, s->owner);
    n = draw(3, s->page_bytes < 8192 ? 600 : 1 + (uint32_t)(6 * MIB2 / s->page_bytes));
    n = s->n_pages + n > MAX_PAGES ? 0 : n;
    st = reserve(&m.client[who], s->id, n);
    if (!may_write(s, who) || s->reservation) {
        assert_int_equal(st, ST_INVALID);
        return;
    }
    if (st != ST_OK) {
        assert_int_equal(st, ST_NO_SPACE);
        m.n_refused++;
        return;
    }
    s->reservation = m.client[who].reply->page_map.lease;
    s->reserver = who;
    s->n_reserved = n;
    s->reserved = copy_map(&m.client[who].reply->page_map);
    for (uint32_t layer = s->first_layer; layer < s->n_layers; layer++)
        for (uint32_t i = 0; i < n; i++) {
            uint64_t stamp = ++m.next_stamp;
            uint64_t at = page_offset(&s->reserved, layer, s->n_pages + i);
            assert_true(at + s->page_bytes <= UNITS * MIB2 && at % 64 == 0);
            memcpy(m.f.base + at, &stamp, sizeof stamp);
            s->stamp[layer][s->n_pages + i] = stamp;
        }
}

static void do_commit(uint32_t who)
{
    struct model_seq *s = pick_seq(2);
    uint32_t n_lists, at = 0;
    uint64_t *checksum;

    if (!s || !s->reservation)
        return;
    who = rightful(who, s->reserver);
    n_lists = s->n_layers - s->first_layer;
    checksum = mem_array((size_t)s->n_reserved * n_lists + 1, sizeof *checksum);
    for (uint32_t i = 0; i < s->n_reserved; i++)
        for (uint32_t layer = s->first_layer; layer < s->n_layers; layer++)
            checksum[at++] = XXH3_64bits(
                m.f.base + page_offset(&s->reserved, layer, s->n_pages + i), s->page_bytes);
    if (who != s->reserver) {
        assert_int_equal(commit(&m.client[who], s->reservation, checksum, at), ST_NOT_FOUND);
    } else if (draw(3, 8) == 0) {
        assert_int_equal(commit(&m.client[who], s->reservation, checksum, at + 1), ST_INVALID);
    } else {
        assert_int_equal(commit(&m.client[who], s->reservation, checksum, at), ST_OK);
        s->n_pages += s->n_reserved;
        end_reservation(s);
    }
    free(checksum);
}

static void do_abort(uint32_t who)
{
    struct model_seq *s = pick_seq(2);
    struct msg request = {.verb = MSG_ABORT};

    if (!s || !s->reservation || draw(3, 3) > 0)
        return;
    who = rightful(who, s->reserver);
    request.abort.lease = s->reservation;
    if (ask(&m.client[who], request) == ST_OK) {
        assert_int_equal(who, s->reserver);
        end_reservation(s);
    } else {
        assert_int_not_equal(who, s->reserver);
    }
}

static void do_acquire(uint32_t who)
{
    struct model_seq *s = pick_seq(2);
    struct model_lease *l = &m.lease[draw(3, MAX_THINGS)];

    if (!s || l->id)
        return;
    assert_int_equal(acquire(&m.client[who], s->id, draw(4, 8) == 0), ST_OK);
    l->id = m.client[who].reply->page_map.lease;
    l->client = who;
    l->map = copy_map(&m.client[who].reply->page_map);
    assert_int_equal(l->map.n_pages, s->n_pages);
    memcpy(l->stamp, s->stamp, sizeof l->stamp);
    check_pages(&l->map, l->stamp);
}

static void do_release(uint32_t who)
{
    struct model_lease *l = &m.lease[draw(2, MAX_THINGS)];

    if (!l->id)
        return;
    who = rightful(who, l->client);
    check_pages(&l->map, l->stamp);
    if (who != l->client) {
        assert_int_equal(release(&m.client[who], l->id), ST_NOT_FOUND);
        return;
    }
    assert_int_equal(release(&m.client[who], l->id), ST_OK);
    forget_lease(l);
}

static void do_truncate(uint32_t who)
{
    struct model_seq *s = pick_seq(2);
    uint32_t n;
    enum status st;

    if (!s)
        return;
    who = rightful(who, s->owner);
    n = draw(3, s->n_pages + 2);
    st = truncate_seq(&m.client[who], s->id, n);
    if (!may_write(s, who) || s->reservation || n > s->n_pages) {
        assert_int_equal(st, ST_INVALID);
        return;
    }
    assert_int_equal(st, ST_OK);
    s->n_pages = n;
}

static void do_drop(uint32_t who)
{
    struct model_seq *s = pick_seq(2);
    enum status st;

    if (!s || draw(3, 2) > 0)
        return;
    who = rightful(who, s->owner);
    st = drop_seq(&m.client[who], s->id);
    assert_int_equal(st, may_write(s, who) ? ST_OK : ST_INVALID);
    if (st == ST_OK)
        forget_seq(s);
}

/* Its door closes, or it says BYE; then it comes back as somebody else. */
static void do_die(uint32_t who)
{
    char peer[CHAN_MAX_NAME];

    if (draw(2, 30) > 0)
        return;
    if (draw(3, 2))
        assert_int_equal(ask(&m.client[who], (struct msg){.verb = MSG_BYE}), ST_OK);
    store_door_closed(&m.f.store, m.client[who].token);
    for (int i = 0; i < MAX_THINGS; i++) {
        if (m.lease[i].id && m.lease[i].client == who)
            forget_lease(&m.lease[i]);
        if (m.seq[i].reservation && m.seq[i].reserver == who)
            end_reservation(&m.seq[i]);
        if (m.seq[i].id && m.seq[i].owner == who && !m.seq[i].keep)
            forget_seq(&m.seq[i]);
        else if (m.seq[i].id && m.seq[i].owner == who)
            m.seq[i].owner = UINT32_MAX;
    }
    snprintf(peer, sizeof peer, "client-%u", m.op);
    join(&m.client[who], &m.f, peer);
}

/* A repeat must change nothing that the oracle knows. */
static void do_repeat(uint32_t who)
{
    struct fixture_client *c = &m.client[who];
    struct msg_stats before = store_stats(&m.f.store), after;

    if (c->sent.verb == MSG_COMMIT || c->sent.request == 0)
        return; /* its checksums are gone */
    if (store_peer_token(&m.f.store, c->peer) == 0)
        return;
    assert_int_equal(store_dispatch(&m.f.store, c->peer, &c->sent)->request, c->sent.request);
    after = store_stats(&m.f.store);
    after.n_requests = before.n_requests;
    after.n_refused = before.n_refused;
    assert_memory_equal(&before, &after, sizeof before);
}

static void check_oracle(void)
{
    struct msg_stats stats = store_stats(&m.f.store);
    uint32_t n_seqs = 0, n_leases = 0, n_reservations = 0;
    uint64_t n_pages = 0;

    for (int i = 0; i < MAX_THINGS; i++) {
        const struct model_seq *s = &m.seq[i];
        n_seqs += s->id != 0;
        n_reservations += s->reservation != 0;
        n_pages += s->id ? (uint64_t)s->n_pages * (s->n_layers - s->first_layer) : 0;
        n_leases += m.lease[i].id != 0;
        if (m.lease[i].id)
            check_pages(&m.lease[i].map, m.lease[i].stamp);
    }
    assert_int_equal(stats.n_seqs, n_seqs);
    assert_int_equal(stats.n_leases, n_leases);
    assert_int_equal(stats.n_reservations, n_reservations);
    assert_int_equal(stats.n_pages, n_pages);
    assert_int_equal(stats.n_checksum_failures, 0);
    assert_int_equal(stats.n_clients, N_CLIENTS);
}

static void step(void)
{
    static void (*const verbs[])(uint32_t) = {
        do_create, do_fork,    do_reserve, do_reserve,  do_commit, do_commit, do_commit,
        do_abort,  do_acquire, do_release, do_truncate, do_drop,   do_die,    do_repeat};
    uint32_t verb = draw(0, sizeof verbs / sizeof *verbs);

    verbs[verb](draw(1, N_CLIENTS));
    if (m.op % CHECK_EVERY == 0) {
        check_arena(&m.f.store);
        check_oracle();
    }
}

static void no_page_is_ever_lost_or_owned_twice(void **state)
{
    fixture_open(&m.f, UNITS * MIB2);
    for (uint32_t i = 0; i < N_CLIENTS; i++) {
        char peer[CHAN_MAX_NAME];
        snprintf(peer, sizeof peer, "start-%u", i);
        join(&m.client[i], &m.f, peer);
    }
    for (m.op = 1; m.op <= OPS; m.op++)
        step();
    print_message("%d operations, %llu requests, %llu refused, %llu for want of space\n", OPS,
                  (unsigned long long)m.f.store.n_requests, (unsigned long long)m.f.store.n_refused,
                  (unsigned long long)m.n_refused);
    assert_true(m.f.store.n_requests >= 100000);
    assert_true(m.n_refused > 100);          /* the arena was full now and then */
    assert_true(m.next_stamp > 100000);      /* and much was written */
    for (uint32_t i = 0; i < N_CLIENTS; i++) /* all die; what is kept is dropped by one more */
        store_door_closed(&m.f.store, m.client[i].token);
    assert_int_equal(store_stats(&m.f.store).n_leases, 0);
    assert_int_equal(store_stats(&m.f.store).n_reservations, 0);
    join(&m.client[0], &m.f, "last");
    for (int i = 0; i < MAX_THINGS; i++) {
        if (m.seq[i].id)
            assert_int_equal(drop_seq(&m.client[0], m.seq[i].id),
                             m.seq[i].keep ? ST_OK : ST_NOT_FOUND);
        forget_seq(&m.seq[i]);
        forget_lease(&m.lease[i]);
    }
    assert_int_equal(store_stats(&m.f.store).free_bytes, UNITS * MIB2);
    assert_int_equal(m.f.store.arena.n_ranges, 1);
    fixture_close(&m.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_page_is_ever_lost_or_owned_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
