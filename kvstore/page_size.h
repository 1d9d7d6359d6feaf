/*
 * page_size.h - the size of the kernel's pages behind a mapping, as obtained.
 */
#ifndef KVSTORE_PAGE_SIZE_H
#define KVSTORE_PAGE_SIZE_H

#include <stdint.h>

/* KernelPageSize of the mapping that starts at `base`, from
 * /proc/self/smaps; the system's page size where that cannot be read. */
uint32_t page_size_of(const void *base);

#endif
