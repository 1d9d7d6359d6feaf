#include <math.h>

#include "kernels/density.h"

enum status density_params_check(const struct density_params *params, struct err *err)
{
    if (!(params->temperature >= 0) || isinf(params->temperature))
        return err_set(err, ST_INVALID, "temperature %g: must be 0 or more", params->temperature);
    if (!(params->top_p > 0 && params->top_p <= 1))
        return err_set(err, ST_INVALID, "top_p %g: must be above 0 and at most 1", params->top_p);
    return ST_OK;
}
