/*
 * metric.h - what a process counts while it runs, for Prometheus to read.
 *
 * One list gives every number its name, kind, unit and words; FORMATS.md has the
 * same list for readers. Numbers are kept only while metric_is_on: off, which is
 * the rule, a count costs one branch.
 */
#ifndef METRICS_METRIC_H
#define METRICS_METRIC_H

#include <stdbool.h>
#include <stdint.h>

enum metric_process { METRIC_STORE, METRIC_VERIFY, METRIC_DRAFT, METRIC_RUN };
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };
/* Seconds are kept in nanoseconds: sums of integers do not drift. */
enum metric_unit { METRIC_PLAIN, METRIC_SECONDS };

/* Process, word, kind, unit, name, what it is. */
#define METRIC_LIST(X)                                                                             \
    X(STORE, ARENA_BYTES, GAUGE, PLAIN, "arena_bytes", "Size of the arena.")                       \
    X(STORE, USED_BYTES, GAUGE, PLAIN, "used_bytes", "Bytes of the arena that hold pages.")        \
    X(STORE, RESERVED_BYTES, GAUGE, PLAIN, "reserved_bytes", "Bytes reserved, not yet committed.") \
    X(STORE, PAGES, GAUGE, PLAIN, "pages", "Pages of all sequences, shared ones each time.")       \
    X(STORE, SEQUENCES, GAUGE, PLAIN, "sequences", "Sequences that exist.")                        \
    X(STORE, LEASES, GAUGE, PLAIN, "leases", "Leases that are held.")                              \
    X(STORE, RESERVATIONS, GAUGE, PLAIN, "reservations", "Reservations that are held.")            \
    X(STORE, CLIENTS, GAUGE, PLAIN, "clients", "Clients that are attached.")                       \
    X(STORE, REQUESTS, COUNTER, PLAIN, "requests_total", "Requests served, refused ones too.")     \
    X(STORE, REFUSED, COUNTER, PLAIN, "refused_total", "Requests refused.")                        \
    X(STORE, BAD_CHECKSUMS, COUNTER, PLAIN, "checksum_failures_total", "Pages found damaged.")     \
    X(STORE, REAPED, COUNTER, PLAIN, "reaped_clients_total", "Clients that died with holdings.")   \
    X(VERIFY, PREFILLS, COUNTER, PLAIN, "prefills_total", "Prompts prefilled.")                    \
    X(VERIFY, PREFILL_TOKENS, COUNTER, PLAIN, "prefill_tokens_total", "Tokens of those prompts.")  \
    X(VERIFY, PREFILL_TIME, COUNTER, SECONDS, "prefill_seconds_total", "Time of prefills.")        \
    X(VERIFY, TRIALS, COUNTER, PLAIN, "trials_total", "Trials decoded to their end.")              \
    X(VERIFY, ROUNDS, COUNTER, PLAIN, "rounds_total", "Passes over the full KV.")                  \
    X(VERIFY, TOKENS, COUNTER, PLAIN, "tokens_total", "Tokens generated.")                         \
    X(VERIFY, PROPOSED, COUNTER, PLAIN, "proposed_tokens_total", "Proposed tokens verified.")      \
    X(VERIFY, ACCEPTED, COUNTER, PLAIN, "accepted_tokens_total", "Proposed tokens accepted.")      \
    X(VERIFY, PASS_TIME, COUNTER, SECONDS, "pass_seconds_total", "Time of passes, link included.") \
    X(VERIFY, LINK_BYTES, COUNTER, PLAIN, "link_bytes_total", "Offloaded KV read, by trial.")      \
    X(VERIFY, LINK_STALL, COUNTER, SECONDS, "link_stall_seconds_total",                            \
      "Time passes waited for the link, by trial.")                                                \
    X(DRAFT, PROPOSALS, COUNTER, PLAIN, "proposals_total", "Proposals made, one a round.")         \
    X(DRAFT, PROPOSED, COUNTER, PLAIN, "proposed_tokens_total", "Tokens in those proposals.")      \
    X(DRAFT, DRAFTED, COUNTER, PLAIN, "drafted_tokens_total", "Tokens of the small model.")        \
    X(DRAFT, ACCEPTED, COUNTER, PLAIN, "accepted_tokens_total",                                    \
      "Tokens of the small model that the middle level took.")                                     \
    X(DRAFT, MIDDLE_STEPS, COUNTER, PLAIN, "middle_steps_total", "Passes of the middle level.")    \
    X(DRAFT, DRAFT_TIME, COUNTER, SECONDS, "draft_seconds_total", "Time of the small model.")      \
    X(DRAFT, MIDDLE_TIME, COUNTER, SECONDS, "middle_seconds_total", "Time of the middle level.")   \
    X(RUN, PLANNED, GAUGE, PLAIN, "planned_trials", "Trials that this run has to do.")             \
    X(RUN, TRIALS, COUNTER, PLAIN, "trials_total", "Trials recorded as ok.")                       \
    X(RUN, FAILED, COUNTER, PLAIN, "failed_trials_total", "Trials recorded as failed.")            \
    X(RUN, ROUNDS, COUNTER, PLAIN, "rounds_total", "Rounds of trials recorded.")                   \
    X(RUN, TOKENS, COUNTER, PLAIN, "tokens_total", "Tokens of trials recorded.")                   \
    X(RUN, PROPOSED, COUNTER, PLAIN, "proposed_tokens_total", "Tokens proposed in them.")          \
    X(RUN, ACCEPTED, COUNTER, PLAIN, "accepted_tokens_total", "Tokens accepted in them.")          \
    X(RUN, LINK_BYTES, COUNTER, PLAIN, "link_bytes_total", "Offloaded KV read in them.")           \
    X(RUN, DECODE_TIME, COUNTER, SECONDS, "decode_seconds_total", "Time of their decoding.")       \
    X(RUN, LINK_STALL, COUNTER, SECONDS, "link_stall_seconds_total", "Link waits in them.")        \
    X(RUN, MESSAGE_TIME, COUNTER, SECONDS, "message_seconds_total", "Message time in them.")

enum metric {
#define METRIC_ENUM(process, word, kind, unit, name, help) METRIC_##process##_##word,
    METRIC_LIST(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

extern bool metric_is_on; /* set before the first thread that counts */

/* Any thread; nothing while it is off. `n` of a time is in nanoseconds. */
void metric_add(enum metric m, uint64_t n);
void metric_add_seconds(enum metric m, double seconds);
void metric_set(enum metric m, uint64_t n); /* a gauge, or a counter kept elsewhere */

/* All numbers of one process in Prometheus' text format 0.0.4, each with HELP and
 * TYPE: "mspeckv_verify_rounds_total 12". The caller owns it. */
char *metric_page(enum metric_process process);

#endif
