#include "kernels/device_cpu.h"
#include "kernels/embed.h"
#include "kernels/embed_avx2.h"

/* A row is a few KiB read once, far less than any other operation of the same
 * pass: one thread does it. */
enum status embed_cpu(struct device *dev, const struct embed_args *a, struct err *err)
{
    if (!device_cpu_avx2(dev)) {
        embed_ref(a); /* a conversion has one right answer */
        return ST_OK;
    }
    for (int r = 0; r < a->n_rows; r++)
        embed_avx2(a, r);
    return ST_OK;
}
