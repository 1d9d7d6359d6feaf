#include "text/demo_words.h"

#include <stddef.h>

/* clang-format off */
#define PERSON {DEMO_POOL_FIRST, DEMO_POOL_LAST, DEMO_POOL_NUMBER}
#define LOAD   {DEMO_POOL_NUMBER, DEMO_POOL_WARE, DEMO_POOL_GOODS}
#define SIGN   {DEMO_POOL_TINT, DEMO_POOL_BEAST, DEMO_POOL_NUMBER}
#define PLACE  {DEMO_POOL_TOWN, DEMO_POOL_NUMBER, DEMO_POOL_NONE}
#define OWED   {DEMO_POOL_LAST, DEMO_POOL_NUMBER, DEMO_POOL_GOODS}
/* clang-format on */

const struct demo_attribute demo_attributes[DEMO_ATTRIBUTES] = {
    {"master", PERSON}, {"mate", PERSON},  {"cook", PERSON},  {"pilot", PERSON}, {"clerk", PERSON},
    {"owner", PERSON},  {"agent", PERSON}, {"guest", PERSON}, {"cargo", LOAD},   {"ballast", LOAD},
    {"stores", LOAD},   {"salvage", LOAD}, {"deck", LOAD},    {"hold", LOAD},    {"fore", LOAD},
    {"aft", LOAD},      {"flag", SIGN},    {"seal", SIGN},    {"badge", SIGN},   {"lamp", SIGN},
    {"rope", SIGN},     {"sail", SIGN},    {"crest", SIGN},   {"plate", SIGN},   {"home", PLACE},
    {"bound", PLACE},   {"berth", PLACE},  {"lock", PLACE},   {"wharf", PLACE},  {"inn", PLACE},
    {"depot", PLACE},   {"toll", PLACE},   {"debt", OWED},    {"fine", OWED},    {"wage", OWED},
    {"bond", OWED},     {"rent", OWED},    {"gift", OWED},    {"loan", OWED},    {"pledge", OWED},
};

const char *const demo_name_heads[DEMO_NAME_HEADS] = {
    "Ash", "Bar", "Cor", "Dun", "Eld", "Fen", "Gar", "Hol",
    "Ing", "Kel", "Lor", "Mor", "Nor", "Pen", "Ros", "Wen",
};
const char *const demo_name_tails[DEMO_NAME_TAILS] = {
    "mere", "ley", "combe", "brook", "hurst", "gate", "ford", "stead",
};

static const char *const firsts[] = {
    "Ada", "Bert", "Carl", "Dora", "Emil", "Fay",  "Gus",  "Hope",
    "Ivo", "June", "Kurt", "Lena", "Max",  "Nell", "Olaf", "Ruth",
};
static const char *const lasts[] = {
    "Abel",  "Byrd", "Crow", "Dale", "Eyre", "Fisk", "Grey", "Hale",
    "Irons", "Jay",  "Kerr", "Lund", "Moss", "Nye",  "Orr",  "Pike",
};
static const char *const goods[] = {
    "tin", "salt", "wool", "coal", "oats", "hemp", "lead",  "malt",
    "oil", "rice", "silk", "tar",  "wax",  "hops", "chalk", "slate",
};
static const char *const wares[] = {
    "casks", "bales", "sacks", "crates", "tubs", "chests", "kegs", "bags",
};
static const char *const tints[] = {
    "red",   "blue", "green", "white", "black", "gold",
    "brown", "pink", "amber", "pale",  "dark",  "grey",
};
static const char *const beasts[] = {
    "hare", "fox",  "wolf", "bear", "swan", "crane", "stag", "owl",
    "ram",  "lynx", "toad", "moth", "crab", "hound", "rook", "boar",
};
static const char *const towns[] = {
    "Alton",  "Brill", "Clun", "Dover",   "Ely",   "Frome", "Goole", "Hythe",
    "Ilkley", "Kirk",  "Leek", "Malvern", "Neath", "Otley", "Poole", "Ryde",
};

#define COUNT(list) ((uint32_t)(sizeof(list) / sizeof((list)[0])))

static const struct {
    const char *const *words;
    uint32_t n_words;
} pools[DEMO_POOL_COUNT] = {
    [DEMO_POOL_NONE] = {NULL, 0},
    [DEMO_POOL_FIRST] = {firsts, COUNT(firsts)},
    [DEMO_POOL_LAST] = {lasts, COUNT(lasts)},
    [DEMO_POOL_GOODS] = {goods, COUNT(goods)},
    [DEMO_POOL_WARE] = {wares, COUNT(wares)},
    [DEMO_POOL_TINT] = {tints, COUNT(tints)},
    [DEMO_POOL_BEAST] = {beasts, COUNT(beasts)},
    [DEMO_POOL_TOWN] = {towns, COUNT(towns)},
    [DEMO_POOL_NUMBER] = {NULL, 90},
};

uint32_t demo_pool_size(enum demo_pool pool)
{
    return pools[pool].n_words;
}

const char *demo_pool_word(enum demo_pool pool, uint32_t index)
{
    return pools[pool].words ? pools[pool].words[index] : NULL;
}
