/*
 * clock.h - monotonic time. Nothing in the project depends on wall time
 * except the date in a manifest.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ns(void);
double clock_seconds_since(uint64_t start_ns);
/* Sleeps to an absolute monotonic time; returns at once if it has passed. */
void clock_sleep_until(uint64_t when_ns);

#endif
