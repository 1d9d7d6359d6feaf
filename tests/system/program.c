#include "tests/system/program.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIN TEST_BUILD_DIR "/bin/mspeckv"

enum { MAX_WORDS = 64, STEP_US = 5000, MAX_OUTPUT = 1 << 18, COMMAND_LINE = 4096 };
/* For what happens at once on a machine that is not busy. */
enum { PATIENCE_S = 60, PATIENCE_STEPS = PATIENCE_S * (1000000 / STEP_US) };

bool program_init(struct program *p)
{
    memset(p, 0, sizeof *p);
    p->path = BIN;
    snprintf(p->dir, sizeof p->dir, "/tmp/test-program-XXXXXX");
    if (mkdtemp(p->dir) == NULL)
        return false;
    snprintf(p->out, sizeof p->out, "%s/out", p->dir);
    return true;
}

/* argv of `arguments`; `text` holds its words. */
static void split(const struct program *p, const char *arguments, char *text, size_t size,
                  char *argv[MAX_WORDS])
{
    size_t n = 0;
    int n_words = 0;

    argv[n_words++] = (char *)(uintptr_t)p->path;
    while (*arguments != '\0') {
        size_t n_word = strcspn(arguments, " ");
        bool is_ours = arguments[0] == '@';
        if (n_word > 0 && n_words < MAX_WORDS - 1) {
            argv[n_words++] = text + n;
            n += (size_t)snprintf(text + n, size - n, "%s%.*s", is_ours ? p->dir : "",
                                  (int)(n_word - is_ours), arguments + is_ours) +
                 1;
        }
        arguments += n_word + (arguments[n_word] == ' ');
    }
    argv[n_words] = NULL;
}

void program_start(struct program *p, const char *arguments)
{
    char text[COMMAND_LINE], *argv[MAX_WORDS];
    int out = open(p->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    split(p, arguments, text, sizeof text, argv);
    p->run_dir[0] = '\0';
    p->pid = fork();
    if (p->pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(out, 1);
        dup2(out, 2);
        execv(p->path, argv);
        _exit(127);
    }
    close(out);
}

int program_wait(struct program *p, int timeout_s)
{
    int status = 0;

    for (long i = 0; i < timeout_s * (1000000L / STEP_US); i++) {
        pid_t got = waitpid(p->pid, &status, WNOHANG);
        if (got == p->pid) {
            p->pid = 0;
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
        usleep(STEP_US);
    }
    kill(p->pid, SIGKILL);
    waitpid(p->pid, &status, 0);
    p->pid = 0;
    return -1;
}

int program_run(struct program *p, const char *arguments)
{
    program_start(p, arguments);
    return program_wait(p, 4 * PATIENCE_S);
}

static const char *read_file(const char *path)
{
    static char text[MAX_OUTPUT + 1];
    FILE *file = fopen(path, "r");
    size_t n = file != NULL ? fread(text, 1, MAX_OUTPUT, file) : 0;

    text[n] = '\0';
    if (file != NULL)
        fclose(file);
    return text;
}

const char *program_output(const struct program *p)
{
    return read_file(p->out);
}

bool program_write(const struct program *p, const char *name, const char *text)
{
    char path[256];
    FILE *file;
    bool done;

    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    file = fopen(path, "w");
    if (file == NULL)
        return false;
    done = fputs(text, file) >= 0;
    return fclose(file) == 0 && done;
}

bool program_has_file(const struct program *p, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    return access(path, F_OK) == 0;
}

bool program_await(const struct program *p, const char *name, const char *words, int timeout_s)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    for (long i = 0; i < timeout_s * (1000000L / STEP_US); i++) {
        if (strstr(read_file(path), words) != NULL)
            return true;
        usleep(STEP_US);
    }
    return strstr(read_file(path), words) != NULL;
}

/* ---- its processes ---- */

/* The words of a process, each ended by a NUL; 0 bytes if it is gone. */
static size_t command_line(const char *pid, char buf[COMMAND_LINE])
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, buf, COMMAND_LINE - 1) : 0;
    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* The line `name` of its /proc/PID/status, without the name; "" if it is gone. */
static void status_line(const char *pid, const char *name, char line[256])
{
    size_t n = strlen(name);
    char path[64];
    FILE *file;
    bool found = false;

    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, 256, file) != NULL)
        found = strncmp(line, name, n) == 0 && line[n] == ':';
    if (file != NULL)
        fclose(file);
    if (found)
        memmove(line, line + n + 1, strlen(line + n + 1) + 1);
    else
        line[0] = '\0';
}

static pid_t parent_of(const char *pid)
{
    char line[256];

    status_line(pid, "PPid", line);
    return atoi(line);
}

bool program_signal(pid_t pid, int number)
{
    char name[24], line[256];

    snprintf(name, sizeof name, "%d", (int)pid);
    if (kill(pid, number) != 0)
        return false;
    for (int i = 0; i < PATIENCE_STEPS; i++) {
        status_line(name, "ShdPnd", line);
        if (line[0] == '\0')
            return false;
        bool is_taken = (strtoull(line, NULL, 16) >> (number - 1) & 1) == 0;
        status_line(name, "State", line);
        if (is_taken && (number != SIGSTOP || strchr(line, 'T') != NULL))
            return true;
        usleep(STEP_US);
    }
    return false;
}

static void take_run_dir(struct program *p, const char *words, size_t n)
{
    for (const char *w = words; w < words + n; w += strlen(w) + 1)
        if (strcmp(w, "--run-dir") == 0 && w + sizeof "--run-dir" < words + n)
            snprintf(p->run_dir, sizeof p->run_dir, "%s", w + sizeof "--run-dir");
}

static pid_t find_once(struct program *p, const char *name)
{
    char words[COMMAND_LINE];
    DIR *list = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;

    while (list != NULL && found == 0 && (e = readdir(list)) != NULL) {
        size_t n = isdigit((unsigned char)e->d_name[0]) ? command_line(e->d_name, words) : 0;
        const char *slash = n > 0 ? strrchr(words, '/') : NULL;
        if (slash == NULL || strncmp(slash, "/mspeckv-", 9) != 0 || strcmp(slash + 9, name) != 0)
            continue;
        if (parent_of(e->d_name) != p->pid)
            continue;
        found = (pid_t)atoi(e->d_name);
        take_run_dir(p, words, n);
    }
    if (list != NULL)
        closedir(list);
    return found;
}

pid_t program_find(struct program *p, const char *name)
{
    pid_t found = 0;

    for (long i = 0; found == 0 && i < PATIENCE_STEPS; i++) {
        found = find_once(p, name);
        if (found == 0)
            usleep(STEP_US);
    }
    return found;
}

/* Any process that names the run's directory. */
static bool has_process(const struct program *p)
{
    char words[COMMAND_LINE];
    DIR *list = opendir("/proc");
    struct dirent *e;
    bool found = false;

    while (list != NULL && !found && (e = readdir(list)) != NULL) {
        size_t n = isdigit((unsigned char)e->d_name[0]) ? command_line(e->d_name, words) : 0;
        found = n > 0 && memmem(words, n, p->run_dir, strlen(p->run_dir)) != NULL;
    }
    if (list != NULL)
        closedir(list);
    return found;
}

bool program_is_gone(const struct program *p)
{
    for (long i = 0; i < PATIENCE_STEPS; i++) {
        if (p->run_dir[0] != '\0' && access(p->run_dir, F_OK) != 0 && !has_process(p))
            return true;
        usleep(STEP_US);
    }
    return false;
}

void program_close(struct program *p)
{
    char command[128];

    if (p->pid != 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", p->dir);
}
