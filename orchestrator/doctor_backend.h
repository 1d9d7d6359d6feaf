/*
 * doctor_backend.h - the CUDA backend of this installation: where it is looked
 * for, and whether it loads.
 */
#ifndef ORCHESTRATOR_DOCTOR_BACKEND_H
#define ORCHESTRATOR_DOCTOR_BACKEND_H

#include <stdbool.h>

struct doctor_backend {
    char path[512];  /* where kernels/device_load.c looks; "": not asked */
    bool is_there;   /* a file that may be read */
    char lacks[256]; /* it is there and does not load: the loader's words; else "" */
};

/* `program` is the path of an executable in the installation's bin/. Loads what
 * it finds, once per process and for good: only for a command that ends soon. */
void doctor_backend_ask(struct doctor_backend *out, const char *program);

#endif
