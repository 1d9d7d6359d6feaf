/*
 * ceilings_bench.h - what a device can do at best on this machine: every figure
 * of other measurements is given as a share of one of these.
 */
#ifndef TOOLS_BENCH_CEILINGS_BENCH_H
#define TOOLS_BENCH_CEILINGS_BENCH_H

#include "common/status.h"

/* One JSON object on stdout: "device", "copy_gbps" (device memory, bytes read and
 * written; cpu: a plain read), "to_device_gbps" and "from_device_gbps" (pinned host
 * memory; null on cpu), "product_tflops" (a bf16 product of 4096 x 4096 x 4096 by the
 * device's matmul at f32 accuracy, counted once). Takes some seconds. */
enum status ceilings_bench_run(const char *device, struct err *err);

#endif
