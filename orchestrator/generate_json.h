/*
 * generate_json.h - the one object that `mspeckv generate --json` prints.
 */
#ifndef ORCHESTRATOR_GENERATE_JSON_H
#define ORCHESTRATOR_GENERATE_JSON_H

#include "common/msg.h"
#include "text/text_buf.h"

struct generate_json {
    const struct msg_trial *trial;
    const struct msg_result *result;
    const struct text_buf *text; /* of the generated tokens */
    double prefill_s;
    double link_gbps;    /* simulated; 0: none */
    bool random_weights; /* of target or draft */
};

/* Without newline; owned by the caller: free(). */
char *generate_json(const struct generate_json *g);

#endif
