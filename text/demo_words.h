/*
 * demo_words.h - the words of the demo text: what a lock-house log can say.
 *
 * The words are so short and few that the demo tokenizer's vocabulary holds
 * each as one piece. Changing a list changes every demo text, and the demo
 * checkpoints were trained on these.
 */
#ifndef TEXT_DEMO_WORDS_H
#define TEXT_DEMO_WORDS_H

#include <stdint.h>

#define DEMO_ATTRIBUTES  40 /* entries of a barge's register, always told in this order */
#define DEMO_VALUE_PARTS 3  /* at most so many words in one value */
#define DEMO_NAME_HEADS  16 /* a barge's name is one head and one tail: "Ash" "mere" */
#define DEMO_NAME_TAILS  8
#define DEMO_NAMES       (DEMO_NAME_HEADS * DEMO_NAME_TAILS)

/* What one word of a value is drawn from. */
enum demo_pool {
    DEMO_POOL_NONE, /* no word: the value is shorter */
    DEMO_POOL_FIRST,
    DEMO_POOL_LAST,
    DEMO_POOL_GOODS,
    DEMO_POOL_WARE,
    DEMO_POOL_TINT,
    DEMO_POOL_BEAST,
    DEMO_POOL_TOWN,
    DEMO_POOL_NUMBER, /* 10 to 99 */
    DEMO_POOL_COUNT
};

struct demo_attribute {
    const char *word;
    enum demo_pool parts[DEMO_VALUE_PARTS]; /* the first is never NONE */
};

extern const struct demo_attribute demo_attributes[DEMO_ATTRIBUTES];
extern const char *const demo_name_heads[DEMO_NAME_HEADS];
extern const char *const demo_name_tails[DEMO_NAME_TAILS];

/* How many words a pool holds; 0 for NONE. */
uint32_t demo_pool_size(enum demo_pool pool);

/* Word `index` < demo_pool_size(pool), static. Numbers have no entry here:
 * NULL for NUMBER and NONE. */
const char *demo_pool_word(enum demo_pool pool, uint32_t index);

#endif
