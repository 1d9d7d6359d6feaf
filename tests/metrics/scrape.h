/*
 * scrape.h - a plain HTTP client, for tests of metrics.
 */
#ifndef TESTS_METRICS_SCRAPE_H
#define TESTS_METRICS_SCRAPE_H

#include "tests/test_helpers.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { SCRAPE_BYTES = 64 * 1024 };

/* All that 127.0.0.1:port answers to `request`; "" if nobody is there. */
static inline const char *scrape_raw(uint16_t port, const char *request, char buf[SCRAPE_BYTES])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t n = 0;

    assert_true(fd >= 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
        for (ssize_t got = 1; got > 0 && n<SCRAPE_BYTES - 1; n += got> 0 ? (size_t)got : 0)
            got = recv(fd, buf + n, SCRAPE_BYTES - 1 - n, 0);
    buf[n] = '\0';
    close(fd);
    return buf;
}

/* The body of GET /metrics; NULL if nobody is there. */
static inline const char *scrape(uint16_t port, char buf[SCRAPE_BYTES])
{
    const char *body;

    scrape_raw(port, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", buf);
    body = strstr(buf, "\r\n\r\n");
    return strncmp(buf, "HTTP/1.1 200 ", 13) == 0 && body != NULL ? body + 4 : NULL;
}

/* The value of the line "NAME value". */
static inline double scrape_value(const char *page, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = page; (at = strstr(at, name)) != NULL; at += n)
        if ((at == page || at[-1] == '\n') && at[n] == ' ')
            return atof(at + n + 1);
    fail_msg("no %s in:\n%s", name, page);
    return NAN;
}

/* The port behind the last "metrics address=127.0.0.1:" of a log; 0: none yet. */
static inline uint16_t scrape_port(const char *log_path)
{
    static const char mark[] = "metrics address=127.0.0.1:";
    FILE *log = fopen(log_path, "r");
    char line[1024];
    uint16_t port = 0;

    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        const char *at = strstr(line, mark);
        if (at != NULL)
            port = (uint16_t)atoi(at + strlen(mark));
    }
    if (log != NULL)
        fclose(log);
    return port;
}

#endif
