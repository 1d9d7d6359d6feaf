/*
 * metric_server.h - serves a process's metrics over HTTP, from a thread of its
 * own. GET /metrics and nothing else; whoever reaches the address may read, so
 * it is the loopback unless somebody says otherwise.
 */
#ifndef METRICS_METRIC_SERVER_H
#define METRICS_METRIC_SERVER_H

#include "common/status.h"
#include "metrics/metric.h"
#include "metrics/metric_address.h"

/* From here on the process counts. `address` as metric_address.h has it; NULL:
 * all stays off. The address that is served, with its port, goes to the log as
 * "metrics address=HOST:PORT". ST_INVALID: no address; ST_IO: it is taken, or
 * not of this machine. One server a process. */
enum status metric_server_open(const char *address, enum metric_process process, struct err *err);
void metric_server_close(void); /* fine when it is off */
/* What is served; host "" when it is off. */
struct metric_address metric_server_address(void);

#endif
