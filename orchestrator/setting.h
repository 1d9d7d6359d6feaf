/*
 * setting.h - the settings of one trial that a file may fix or sweep, by key.
 *
 * One table gives every key its field, kind, range and default; the reader of
 * experiment files, sweeps, results.jsonl and tables all go through it.
 */
#ifndef ORCHESTRATOR_SETTING_H
#define ORCHESTRATOR_SETTING_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/status.h"

struct setting {
    uint32_t prefill, gen_len, budget, chunk;
    uint32_t gamma, gamma_draft;
    uint32_t on_chip, resident_layers;
    double temperature, top_p;
    uint32_t acceptance;     /* enum acceptance */
    uint32_t kv_format;      /* enum kv_format of mspeckv_kv_quant; the other methods store f16 */
    uint32_t staging_layers; /* ring slots, in layers; 0: the default of two */
    bool ignore_eos;
    /* replay_plan.h: mean accepted proposals of a verification, and the share that the middle
     * level takes of the draft's; 0: what is accepted is found out. No keys of a file. */
    double replay_accepted, replay_draft_rate;
};

enum setting_kind {
    SETTING_INTEGER, /* uint32_t in [min, max] */
    SETTING_REAL,    /* double in [min, max], or (min, max] with open_min */
    SETTING_CHOICE,  /* uint32_t, index into `choices` ("a|b|c") */
    SETTING_BOOL
};

struct setting_key {
    const char *key;
    enum setting_kind kind;
    size_t offset; /* in struct setting */
    double min, max;
    bool open_min;
    const char *choices;
    double standard; /* the default of the study; -1: none, the file must give it */
};

enum { SETTING_KEYS = 14 };
extern const struct setting_key setting_keys[SETTING_KEYS];

const struct setting_key *setting_key_find(const char *key); /* NULL if it is none */
/* Counts and reals may be swept; words and switches may not. */
bool setting_key_sweeps(const struct setting_key *key);

struct setting setting_standard(void); /* prefill is 0: the file must give it */
double setting_get(const struct setting *s, const struct setting_key *key);
/* `value` is in the key's range (CHECKed by our own callers' reading). */
void setting_put(struct setting *s, const struct setting_key *key, double value);
bool setting_same(const struct setting *a, const struct setting *b);

/* What is left of `s` for one method: settings that the method does not read
 * become 0 (1 for chunk and gamma_draft), so that equal work compares equal.
 * baseline reads no speculation setting; only mspeckv_kv_quant has a kv_format
 * other than f16 and resident layers. */
struct setting setting_for_method(const struct setting *s, enum method method);

/* "f32", "f16", "int8", "int4"; "?" for a number that is no format. */
const char *setting_format_name(uint32_t kv_format);
const char *setting_acceptance_name(uint32_t acceptance);

#endif
