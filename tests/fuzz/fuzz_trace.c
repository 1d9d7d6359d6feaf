/*
 * fuzz_trace.c - any bytes as a process's trace; what is accepted must become a
 * timeline. The first byte says whether a good head stands before the rest.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "orchestrator/trace_flow.h"
#include "orchestrator/trace_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static char path[] = "/tmp/fuzz-trace-XXXXXX";
static int fd = -1;
static FILE *nowhere;

static void remove_file(void)
{
    unlink(path);
}

static void write_file(const uint8_t *bytes, size_t n_bytes)
{
    struct trace_head head = {.version = TRACE_FILE_VERSION,
                              .event_bytes = sizeof(struct trace_event),
                              .cap_events = TRACE_CAP_EVENTS,
                              .n_events = n_bytes,
                              .n_threads = 2};

    CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    memcpy(head.magic, TRACE_FILE_MAGIC, sizeof head.magic);
    if (bytes[0] % 2 == 0)
        CHECK(write(fd, &head, sizeof head) == sizeof head);
    CHECK(write(fd, bytes + 1, n_bytes - 1) == (ssize_t)n_bytes - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    struct trace_source source = {.place = 0};
    struct trace_set set = {.source = &source, .n_sources = 1};
    struct err err = {{0}};

    if (n_bytes == 0)
        return 0;
    if (fd < 0) {
        fd = mkstemp(path);
        nowhere = fopen("/dev/null", "we");
        CHECK(fd >= 0 && nowhere != NULL);
        atexit(remove_file);
    }
    write_file(bytes, n_bytes);
    if (trace_file_read(&source.file, path, &err) == ST_OK) {
        set.first_ns = UINT64_MAX;
        for (size_t i = 0; i < source.file.n_events; i++)
            if (source.file.event[i].begin_ns < set.first_ns)
                set.first_ns = source.file.event[i].begin_ns;
        CHECK(trace_flow_find(&set) <= source.file.n_events / 2);
        trace_json_write(nowhere, &set);
    } else {
        CHECK(err.text[0] != '\0');
    }
    trace_file_release(&source.file);
    free(source.flow);
    return 0;
}
