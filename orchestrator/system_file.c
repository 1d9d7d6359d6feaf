#include "orchestrator/system_file.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Files of /proc and /sys have no size to ask for; NULL if it cannot be read. */
static char *read_all(const char *root, const char *path)
{
    char *name = mem_printf("%s/%s", root, path), *text;
    FILE *file = fopen(name, "re");
    size_t n;

    free(name);
    if (file == NULL)
        return NULL;
    text = mem_alloc(SYSTEM_FILE_MAX + 1);
    n = fread(text, 1, SYSTEM_FILE_MAX, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

/* The line at `from`; what a terminal would take amiss becomes '?'. */
static bool take_line(const char *from, char *buf, size_t size)
{
    size_t n = strcspn(from, "\n");

    while (n > 0 && isspace((unsigned char)from[n - 1]))
        n--;
    if (n == 0)
        return false;
    n = n < size ? n : size - 1;
    for (size_t i = 0; i < n; i++)
        buf[i] = from[i] == '\t' ? ' ' : from[i] < ' ' || from[i] > '~' ? '?' : from[i];
    buf[n] = '\0';
    return true;
}

static bool take_number(const char *text, uint64_t *out, const char **end)
{
    char *stop;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    uint64_t value = strtoull(text, &stop, 10);
    if (errno != 0)
        return false;
    *out = value;
    *end = stop;
    return true;
}

bool system_file_line(const char *root, const char *path, char *buf, size_t size)
{
    char *text = read_all(root, path);
    bool found = text != NULL && take_line(text, buf, size);

    free(text);
    return found;
}

bool system_file_number(const char *root, const char *path, uint64_t *out)
{
    char line[64];
    const char *end;
    uint64_t value;

    if (!system_file_line(root, path, line, sizeof line) || !take_number(line, &value, &end) ||
        *end != '\0')
        return false;
    *out = value;
    return true;
}

bool system_file_value(const char *root, const char *path, const char *key, char *buf, size_t size)
{
    char *text = read_all(root, path), *next;
    size_t n = strlen(key);
    bool found = false;

    for (char *line = text; line != NULL && !found; line = next) {
        next = strchr(line, '\n');
        next = next != NULL ? next + 1 : NULL;
        if (strncmp(line, key, n) != 0 || strchr(" \t:", line[n]) == NULL || line[n] == '\0')
            continue;
        found = take_line(line + n + strspn(line + n, " \t:"), buf, size);
    }
    free(text);
    return found;
}

bool system_file_bytes(const char *root, const char *path, const char *key, uint64_t *out)
{
    char value[64];
    const char *end;
    uint64_t number;

    if (!system_file_value(root, path, key, value, sizeof value) ||
        !take_number(value, &number, &end) || number > UINT64_MAX / 1024)
        return false;
    *out = strcmp(end, " kB") == 0 ? number * 1024 : number;
    return true;
}

bool system_file_choice(const char *root, const char *path, char *buf, size_t size)
{
    char line[256], *word, *end;

    if (!system_file_line(root, path, line, sizeof line) || (word = strchr(line, '[')) == NULL ||
        (end = strchr(word, ']')) == NULL || end == word + 1)
        return false;
    *end = '\0';
    snprintf(buf, size, "%s", word + 1);
    return true;
}
