#include "kernels/ring_write.h"

/* A copy of a few KiB has one right answer and one thread. */
enum status ring_write_cpu(struct device *dev, const struct ring_write_args *a, struct err *err)
{
    ring_write_ref(a);
    return ST_OK;
}
