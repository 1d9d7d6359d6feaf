/*
 * HTTP is libmicrohttpd's. The socket is ours, so that what the system says of
 * an address can be said in one line, and so that a port of 0 can be told.
 */
#include "metrics/metric_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "common/log.h"

/* One scraper, and a person beside it. A peer that says nothing is let go. */
enum { MAX_CONNECTIONS = 8, IDLE_S = 10, BACKLOG = 8 };

static struct MHD_Daemon *daemon_of_process;
static enum metric_process served;
static struct metric_address served_at;

static enum MHD_Result answer(struct MHD_Connection *to, unsigned code, const char *words)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(words), (void *)(uintptr_t)words, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result done;

    if (response == NULL)
        return MHD_NO;
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
    done = MHD_queue_response(to, code, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result answer_page(struct MHD_Connection *to)
{
    char *page = metric_page(served);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(page), page, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result done;

    if (response == NULL) {
        free(page);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  "text/plain; version=0.0.4; charset=utf-8");
    done = MHD_queue_response(to, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *from, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *n_body, void **state)
{
    if (strcmp(url, "/metrics") != 0)
        return answer(from, MHD_HTTP_NOT_FOUND, "only /metrics is here\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return answer(from, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served\n");
    return answer_page(from);
}

/* ---- the socket ---- */

static enum status listen_at(int *out, const struct addrinfo *at, const char *address,
                             struct err *err)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_set(err, ST_IO, "metrics: socket: %s", strerror(errno));
    /* A process that is started again finds its port in the state of the old one's peers. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        enum status st = err_set(err, ST_IO,
                                 "metrics: %s cannot be served: %s; another --metrics, or port 0 "
                                 "for any, would be right",
                                 address, strerror(errno));
        close(fd);
        return st;
    }
    *out = fd;
    return ST_OK;
}

static enum status open_socket(int *out, const struct metric_address *a, const char *address,
                               struct err *err)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char port[8];
    enum status st;
    int error;

    snprintf(port, sizeof port, "%u", a->port);
    error = getaddrinfo(a->host, port, &want, &found);
    if (error != 0)
        return err_set(err, ST_IO, "metrics: host %s: %s", a->host, gai_strerror(error));
    st = listen_at(out, found, address, err);
    freeaddrinfo(found);
    return st;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;

    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        return 0;
    if (at.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&at)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&at)->sin_port);
}

/* Signals are the main thread's: the server's takes none. */
static struct MHD_Daemon *start_daemon(int fd)
{
    struct MHD_Daemon *started;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL,
                               MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                               (unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                               (unsigned)IDLE_S, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

enum status metric_server_open(const char *address, enum metric_process process, struct err *err)
{
    struct metric_address a;
    char text[METRIC_ADDRESS_BYTES];
    enum status st;
    int fd = -1;

    if (address == NULL)
        return ST_OK;
    st = metric_address_parse(&a, address, err);
    if (st != ST_OK)
        return err_in(err, st, "--metrics");
    st = open_socket(&fd, &a, address, err);
    if (st != ST_OK)
        return st;
    served = process;
    metric_is_on = true;
    daemon_of_process = start_daemon(fd);
    if (daemon_of_process == NULL) {
        metric_is_on = false;
        close(fd);
        return err_set(err, ST_IO, "metrics: %s: the server's thread cannot start", address);
    }
    a.port = port_of(fd);
    served_at = a;
    metric_address_text(&a, text);
    log_info(LOG_PROC, "metrics address=%s", text);
    return ST_OK;
}

void metric_server_close(void)
{
    if (daemon_of_process == NULL)
        return;
    MHD_stop_daemon(daemon_of_process); /* closes the socket too */
    daemon_of_process = NULL;
    served_at = (struct metric_address){.port = 0};
}

struct metric_address metric_server_address(void)
{
    return served_at;
}
