#include "kvstore/page_size.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

uint32_t page_size_of(const void *base)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    uint32_t size = (uint32_t)sysconf(_SC_PAGESIZE);
    bool is_ours = false;
    char line[512];

    while (f && fgets(line, sizeof line, f)) {
        unsigned long start, end;
        unsigned kib;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            is_ours = start == (unsigned long)base;
        } else if (is_ours && sscanf(line, "KernelPageSize: %u kB", &kib) == 1) {
            size = kib * 1024;
            break;
        }
    }
    if (f)
        fclose(f);
    return size;
}
