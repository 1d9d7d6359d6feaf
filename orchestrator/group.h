/*
 * group.h - the three processes of a run: store, verify and draft worker.
 *
 * Starts them, asks them, notices their deaths and starts them again. The
 * store's snapshots outlive the workers. Belongs to one thread.
 */
#ifndef ORCHESTRATOR_GROUP_H
#define ORCHESTRATOR_GROUP_H

#include "common/msg.h"
#include "common/status.h"
#include "orchestrator/experiment.h"

struct group; /* owns its processes, their directory and the control channel */

enum group_member { GROUP_KVSTORE, GROUP_VERIFY, GROUP_DRAFT };
enum { GROUP_MEMBERS = 3 };

/* Strings are borrowed until group_close. */
struct group_options {
    const char *target, *draft; /* draft NULL: no draft worker */
    const char *verify_device, *draft_device;
    const struct cpu_list *cpus; /* of all three; NULL or empty: any */
    uint32_t threads;            /* per worker; 0: all those CPUs */
    enum link_kind link;
    double link_value;
    uint32_t sinks, window;
    uint64_t retrieval_tokens; /* 0: no method has a middle level */
    bool f32_base;
    const char *arena; /* "posix" or "memfd" */
    int numa_node;     /* -1: not bound */
    uint64_t arena_bytes;
    const char *log_dir; /* NULL: beside the sockets, gone with them */
    const char *logits;  /* NULL: none */
    /* NULL: off. Store, verify and draft serve metrics at this host, at the port
     * and the two behind it; port 0: each at any. */
    const char *metrics_host;
    uint32_t metrics_port;
    bool trace; /* every process writes one beside its log (trace_folder.h) */
};

/* What ended the last call that answered ST_CLOSED. */
enum group_end { GROUP_RUNS, GROUP_DIED, GROUP_STOPPED };

/* Returns when all have said READY. ST_CLOSED: one ended before, or the user
 * stopped; the words say which, how, and where its log is. *out is set also on
 * failure, so that the logs can be kept: group_close it in any case. */
enum status group_open(struct group **out, const struct group_options *opt, struct err *err);
/* Lets them end by themselves where that is quick, else ends them. */
void group_close(struct group *g); /* NULL is fine */

/* Ends both workers, and the store if `store_too`, and starts them afresh. */
enum status group_restart(struct group *g, bool store_too, struct err *err);

bool group_has_died(const struct group *g, enum group_member member);
enum group_end group_end(const struct group *g);
const struct msg_ready *group_ready(const struct group *g, enum group_member member);
pid_t group_pid(const struct group *g, enum group_member member); /* 0: it does not run */
/* False: it failed before there was a place for them. */
bool group_has_logs(const struct group *g);
const char *group_log_dir(const struct group *g);
/* The last lines of the log of the process that the last failed call is laid
 * to, as they were then; borrowed until the next call. */
const char *group_log_tail(const struct group *g);

struct group_call {
    enum group_member member;
    struct msg *request; /* its number is set here; the rest is borrowed */
    enum msg_verb want;  /* the answer's verb */
    double timeout_s;    /* without an answer or PROGRESS, which begins it anew; 0: none */
    int stop_at;         /* how many stop signals end the call */
    void *self;          /* for the two below */
    /* PROGRESS and TOKENS of the request as they come; NULL about twice a second. */
    void (*watch)(void *self, const struct msg *msg);
};

/* Sends and waits. *out is the caller's: msg_release. A refusal of the peer is
 * its own status and words; ST_CLOSED with group_end() telling a death or a
 * stop; ST_TIMEOUT: the peer still works, only group_restart helps. */
enum status group_ask(struct group *g, const struct group_call *call, struct msg *out,
                      struct err *err);
/* Sends without waiting; a dead peer is noticed by the next group_ask. */
void group_tell(struct group *g, enum group_member member, struct msg *msg);

#endif
