#include "tests/test_helpers.h"

#include "text/bpe_merge.h"

/* The definition: look at all neighbours, join the best, begin again. */
static size_t merge_slowly(const struct vocab *vocab, const char *text, size_t n, uint32_t *len)
{
    size_t n_symbols = n;

    for (size_t i = 0; i < n; i++)
        len[i] = 1;
    for (;;) {
        uint32_t best_order = UINT32_MAX, at = 0;
        size_t best = n_symbols;

        for (size_t i = 0; i + 1 < n_symbols; at += len[i], i++) {
            int32_t id = vocab_find(vocab, text + at, len[i] + len[i + 1]);

            if (id >= 0 && vocab_at(vocab, id)->order < best_order) {
                best_order = vocab_at(vocab, id)->order;
                best = i;
            }
        }
        if (best == n_symbols)
            return n_symbols;
        len[best] += len[best + 1];
        memmove(len + best + 1, len + best + 2, (n_symbols - best - 2) * sizeof *len);
        n_symbols--;
    }
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes */
    return *state >> 16;
}

static void the_heap_gives_what_the_definition_gives(void **state)
{
    uint32_t random = 5;

    for (int round = 0; round < 1500; round++) {
        struct bpe_run run;
        struct vocab vocab;
        char text[40], piece[5];
        uint32_t slow[40], n = 1 + next_random(&random) % 40, got = 0;
        size_t n_slow;

        vocab_init(&vocab);
        bpe_run_init(&run);
        for (int id = 0; id < 60; id++) {
            uint32_t len = 1 + next_random(&random) % 5;

            for (uint32_t i = 0; i < len; i++)
                piece[i] = (char)('a' + next_random(&random) % 3);
            if (vocab_add(&vocab, vocab.n_ids, piece, len, VOCAB_NORMAL, NULL) == ST_OK)
                vocab.entry[vocab.n_ids - 1].order = next_random(&random) % 20; /* with ties */
        }
        for (uint32_t i = 0; i < n; i++) {
            text[i] = (char)('a' + next_random(&random) % 3);
            bpe_run_push(&run, i, 1, vocab_find(&vocab, text + i, 1), false);
        }
        n_slow = merge_slowly(&vocab, text, n, slow);
        bpe_merge(&run, &(struct bpe_rules){&vocab, NULL}, text);
        for (uint32_t i = 0; i < run.n; i++) {
            if (run.symbol[i].len == 0)
                continue;
            assert_true(got < n_slow);
            assert_int_equal(run.symbol[i].len, slow[got++]);
        }
        assert_int_equal(got, n_slow);
        bpe_run_release(&run);
        vocab_release(&vocab);
    }
}

static void pairs_are_found_again_and_only_once(void **state)
{
    struct bpe_pairs pairs;
    struct bpe_pair pair = {0};

    bpe_pairs_init(&pairs);
    for (int i = 0; i < 5000; i++) {
        pair = (struct bpe_pair){.left = i / 70, .right = i % 70, .merged = i, .rank = 0};
        assert_true(bpe_pairs_add(&pairs, &pair));
        assert_false(bpe_pairs_add(&pairs, &pair));
    }
    assert_int_equal(pairs.n, 5000);
    bpe_pairs_release(&pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heap_gives_what_the_definition_gives),
        cmocka_unit_test(pairs_are_found_again_and_only_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
