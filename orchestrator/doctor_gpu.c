#include "orchestrator/doctor_gpu.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "orchestrator/system_file.h"

/* "x.y" or "x.y.z" of digits: the only such word of the driver's line. */
static bool is_version(const char *word)
{
    const char *dot = strchr(word, '.');

    return dot != NULL && dot > word && strspn(word, "0123456789.") == strlen(word);
}

void doctor_gpu_driver(char *buf, size_t size, const char *root)
{
    char line[256], *rest = line;

    buf[0] = '\0';
    if (!system_file_line(root, "proc/driver/nvidia/version", line, sizeof line))
        return;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " "))
        if (buf[0] == '\0' && is_version(word))
            snprintf(buf, size, "%s", word);
    if (buf[0] == '\0')
        snprintf(buf, size, "of unknown version");
}

/* "DDDD:BB:DD.F", nothing that could lead elsewhere. */
static int is_address(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n == 12 && strspn(e->d_name, "0123456789abcdef:.") == n && e->d_name[4] == ':';
}

static bool line_of(const char *root, const char *address, const char *file, char *buf, size_t size)
{
    char path[128];

    snprintf(path, sizeof path, "sys/bus/pci/devices/%.12s/%s", address, file);
    return system_file_line(root, path, buf, size);
}

/* The number that the line begins with; 0 for "Unknown" and what is no number. */
static double number_of(const char *root, const char *address, const char *file)
{
    char line[64];
    double x = line_of(root, address, file, line, sizeof line) ? strtod(line, NULL) : 0;

    return x > 0 && x < 1e6 ? x : 0;
}

/* Vendor NVIDIA; class 0x0300 (VGA) or 0x0302 (3D), PCI code and ID assignment. */
static bool is_gpu(const char *root, const char *address)
{
    char vendor[16], class[16];

    return line_of(root, address, "vendor", vendor, sizeof vendor) &&
           strcmp(vendor, "0x10de") == 0 && line_of(root, address, "class", class, sizeof class) &&
           (strncmp(class, "0x0300", 6) == 0 || strncmp(class, "0x0302", 6) == 0);
}

static void read_one(struct doctor_gpu *gpu, const char *root, const char *address)
{
    char path[128], line[16];

    *gpu = (struct doctor_gpu){.node = -1};
    snprintf(gpu->address, sizeof gpu->address, "%.12s", address);
    snprintf(path, sizeof path, "proc/driver/nvidia/gpus/%.12s/information", address);
    (void)system_file_value(root, path, "Model", gpu->model, sizeof gpu->model);
    gpu->speed_gt = number_of(root, address, "current_link_speed");
    gpu->max_speed_gt = number_of(root, address, "max_link_speed");
    gpu->width = (uint32_t)number_of(root, address, "current_link_width");
    gpu->max_width = (uint32_t)number_of(root, address, "max_link_width");
    if (line_of(root, address, "numa_node", line, sizeof line) && line[0] != '-')
        gpu->node = (int)number_of(root, address, "numa_node");
}

uint32_t doctor_gpu_read(struct doctor_gpu *out, uint32_t max, const char *root)
{
    char *path = mem_printf("%s/sys/bus/pci/devices", root);
    struct dirent **entry = NULL;
    int n = scandir(path, &entry, is_address, alphasort);
    uint32_t found = 0;

    for (int i = 0; i < n; i++) {
        if (found < max && is_gpu(root, entry[i]->d_name))
            read_one(&out[found++], root, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    free(path);
    return found;
}

double doctor_gpu_link_gbps(const struct doctor_gpu *gpu, uint32_t width)
{
    double speed = gpu->max_speed_gt > gpu->speed_gt ? gpu->max_speed_gt : gpu->speed_gt;

    return speed * width / 8 * (speed > 5 ? 128.0 / 130 : 0.8);
}
