/* Over a real socket: one page, nothing else, and one line where it cannot be. */
#include "tests/metrics/scrape.h"

#include "metrics/metric_server.h"

static char buf[SCRAPE_BYTES];

static uint16_t open_server(void)
{
    struct err err = {{0}};

    if (metric_server_open("127.0.0.1:0", METRIC_VERIFY, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_true(metric_server_address().port != 0);
    return metric_server_address().port;
}

static void the_page_is_served_as_it_is_now(void **state)
{
    uint16_t port = open_server();
    const char *page = scrape(port, buf);
    double before;

    assert_non_null(page);
    assert_non_null(strstr(buf, "Content-Type: text/plain; version=0.0.4"));
    before = scrape_value(page, "mspeckv_verify_rounds_total");
    metric_add(METRIC_VERIFY_ROUNDS, 3);
    page = scrape(port, buf);
    assert_non_null(page);
    assert_close(scrape_value(page, "mspeckv_verify_rounds_total"), before + 3, 0);
    assert_null(strstr(page, "mspeckv_draft_"));
    metric_server_close();
}

static void nothing_but_get_metrics_is_served(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
        {"GET /metrics/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
        {"GET /../metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
        {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
         "HTTP/1.1 405 "},
        {"DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 "},
    };
    uint16_t port = open_server();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scrape_raw(port, cases[i].request, buf);
        if (strncmp(buf, cases[i].answer, strlen(cases[i].answer)) != 0)
            fail_msg("%s is answered by %s", cases[i].request, buf);
        assert_null(strstr(buf, "mspeckv_"));
    }
    assert_non_null(scrape(port, buf)); /* and none of it has hurt */
    metric_server_close();
}

/* Whatever a peer sends, the next one is served. */
static void garbage_hurts_nobody(void **state)
{
    uint16_t port = open_server();
    char *request = malloc(SCRAPE_BYTES);
    uint32_t x = 1;

    for (int turn = 0; turn < 20; turn++) {
        size_t n = turn < 10 ? 100 : SCRAPE_BYTES - 1;
        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            request[i] = (char)(1 + (x >> 24) % 255);
        }
        memcpy(request + n - 4, "\r\n\r", 4);
        request[n] = '\0';
        if (turn < 10) {
            request[n - 1] = '\n';
            scrape_raw(port, request, buf);
            assert_null(strstr(buf, "mspeckv_"));
        } else {
            memcpy(request, "GET /", 5); /* a line longer than any buffer */
            memset(request + 5, 'a', n - 9);
            memcpy(request + n - 4, "\r\n\r\n", 4);
            scrape_raw(port, request, buf);
            assert_null(strstr(buf, "mspeckv_"));
        }
    }
    assert_non_null(scrape(port, buf));
    metric_server_close();
    free(request);
}

static void an_address_that_is_taken_is_one_line(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    struct err err = {{0}};
    char address[32];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(metric_server_open(address, METRIC_RUN, &err), ST_IO);
    assert_non_null(strstr(err.text, address));
    assert_non_null(strstr(err.text, "Address already in use"));
    assert_null(strchr(err.text, '\n'));
    close(fd);
    /* not of this machine: a documentation address */
    assert_int_equal(metric_server_open("192.0.2.1:0", METRIC_RUN, &err), ST_IO);
    assert_non_null(strstr(err.text, "192.0.2.1"));
    assert_int_equal(metric_server_open("x y", METRIC_RUN, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "--metrics: "));
    assert_string_equal(metric_server_address().host, "");
}

static void without_an_address_nothing_is_on(void **state)
{
    struct err err = {{0}};

    metric_is_on = false;
    assert_int_equal(metric_server_open(NULL, METRIC_RUN, &err), ST_OK);
    assert_false(metric_is_on);
    metric_server_close();
}

static void a_port_can_be_served_again_at_once(void **state)
{
    uint16_t port = open_server();
    struct err err = {{0}};
    char address[32];

    assert_non_null(scrape(port, buf));
    metric_server_close();
    assert_null(scrape(port, buf));
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    if (metric_server_open(address, METRIC_VERIFY, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_non_null(scrape(port, buf));
    metric_server_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_address_nothing_is_on),
        cmocka_unit_test(the_page_is_served_as_it_is_now),
        cmocka_unit_test(nothing_but_get_metrics_is_served),
        cmocka_unit_test(garbage_hurts_nobody),
        cmocka_unit_test(an_address_that_is_taken_is_one_line),
        cmocka_unit_test(a_port_can_be_served_again_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
