#include "metrics/metric_address.h"

#include <stdio.h>
#include <string.h>

#include "common/args.h"

static enum status wrong(const char *text, struct err *err)
{
    return err_set(err, ST_INVALID,
                   "\"%.64s\" is no address; HOST:PORT with a port of 0 to 65535, as "
                   "127.0.0.1:9400, would be right",
                   text);
}

enum status metric_address_parse(struct metric_address *out, const char *text, struct err *err)
{
    const char *colon = strrchr(text, ':'), *port = colon != NULL ? colon + 1 : text;
    size_t n_host = colon != NULL ? (size_t)(colon - text) : 0;
    struct metric_address a = {.port = 0};
    struct err ignored = {{0}};
    int64_t number = 0;

    if (args_int(port, 0, UINT16_MAX, &number, &ignored) != ST_OK)
        return wrong(text, err);
    if (n_host >= 2 && text[0] == '[' && text[n_host - 1] == ']') {
        text++;
        n_host -= 2;
        if (n_host == 0)
            return wrong(text - 1, err);
    } else if (memchr(text, ':', n_host) != NULL) {
        return wrong(text, err); /* IPv6 without brackets: where its port begins is a guess */
    }
    if (n_host >= sizeof a.host)
        return wrong(text, err);
    memcpy(a.host, n_host > 0 ? text : "127.0.0.1", n_host > 0 ? n_host : sizeof "127.0.0.1" - 1);
    a.port = (uint16_t)number;
    *out = a;
    return ST_OK;
}

void metric_address_text(const struct metric_address *a, char buf[METRIC_ADDRESS_BYTES])
{
    bool is_v6 = strchr(a->host, ':') != NULL;

    snprintf(buf, METRIC_ADDRESS_BYTES, is_v6 ? "[%s]:%u" : "%s:%u", a->host, a->port);
}
