/*
 * metric_address.h - where a process serves its metrics, as text.
 */
#ifndef METRICS_METRIC_ADDRESS_H
#define METRICS_METRIC_ADDRESS_H

#include <stdint.h>

#include "common/status.h"

enum { METRIC_HOST_BYTES = 256, METRIC_ADDRESS_BYTES = METRIC_HOST_BYTES + 16 };

struct metric_address {
    char host[METRIC_HOST_BYTES]; /* a name or a number; of IPv6 without brackets */
    uint16_t port;                /* 0: any that is free */
};

/* "HOST:PORT", "[IPV6]:PORT", or ":PORT" and "PORT" on the loopback, 127.0.0.1.
 * ST_INVALID says what would be right. */
enum status metric_address_parse(struct metric_address *out, const char *text, struct err *err);
/* The same form back. */
void metric_address_text(const struct metric_address *a, char buf[METRIC_ADDRESS_BYTES]);

#endif
