#include "orchestrator/command.h"

#include <stdio.h>
#include <string.h>

#include "common/proc.h"
#include "orchestrator/nearest.h"

#ifndef MSPECKV_VERSION
#error "the build file gives MSPECKV_VERSION"
#endif

const char command_version[] = MSPECKV_VERSION;

/* The text of the root script's `help` is the same; a test compares them. */
static const char usage[] =
    "usage: mspeckv COMMAND [options]\n"
    "\n"
    "  run FILE [--set key=value]... [--out DIR]   run a study, print its tables\n"
    "  run --resume DIR                            go on with an unfinished run\n"
    "  run FILE --launcher slurm [--partition P]   the same by a job array of Slurm\n"
    "  gather DIR                                  its results and tables so far\n"
    "  part DIR --task N                           one task of it, as Slurm calls it\n"
    "  report DIR [DIR... --out FILE]              figures and a page of runs\n"
    "  generate --target DIR [options]             decode one prompt\n"
    "  tokenize --tokenizer DIR_OR_FILE [--decode] text on stdin, token ids on stdout\n"
    "  dataset demo|PATH --tokens N [options]      the demo text; a study's prompt\n"
    "  bench attention                             attention against a plain read\n"
    "  eval --target DIR --text FILE --kv-format F what a KV format costs\n"
    "  synth --arch NAME --out DIR                 random weights of a known shape\n"
    "  convert DIR --out DIR                       PyTorch .bin files to safetensors\n"
    "  doctor [FILE] [--set key=value]...          what this machine offers a study\n"
    "  build                                       install what is missing, build\n"
    "  test [--full] [--data DIR]                  build and run all tests\n"
    "  help [COMMAND] | version                    this text, a command's; version\n"
    "\n"
    "Every command sets up what it needs first. `mspeckv COMMAND --help` lists the\n"
    "options of a command.\n";

static int run_word(int argc, char **argv);

/* `help COMMAND` is `COMMAND --help`. */
static int command_help(int argc, char **argv)
{
    char option[] = "--help", *words[] = {NULL, option, NULL};

    if (argc > 2) {
        fprintf(stderr, "mspeckv help: unexpected argument '%.80s' after the command\n", argv[2]);
        return EXIT_USAGE;
    }
    if (argc == 2 && argv[1][0] != '-') {
        words[0] = argv[1];
        return run_word(2, words);
    }
    fputs(usage, stdout);
    return EXIT_DONE;
}

static int command_say_version(int argc, char **argv)
{
    printf("mspeckv %s\n", command_version);
    return EXIT_DONE;
}

/* They belong to the script, which works without a built program. */
static int command_of_script(int argc, char **argv)
{
    fprintf(stderr, "mspeckv: %s is a command of the script mspeckv in the source folder\n",
            argv[0]);
    return EXIT_USAGE;
}

static const struct {
    const char *word;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", command_run},
    {"generate", command_generate},
    {"tokenize", command_tokenize},
    {"dataset", command_dataset},
    {"bench", command_bench},
    {"eval", command_eval},
    {"synth", command_synth},
    {"convert", command_of_script},
    {"doctor", command_doctor},
    {"report", command_report},
    {"part", command_part},
    {"gather", command_gather},
    {"build", command_of_script},
    {"test", command_of_script},
    {"help", command_help},
    {"version", command_say_version},
    {"--help", command_help},
    {"-h", command_help},
    {"--version", command_say_version},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0], N_WORDS = 16 };

/* argv[0] is the command's word. */
static int run_word(int argc, char **argv)
{
    const char *words[N_WORDS], *near;

    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[0], commands[i].word) == 0)
            return commands[i].run(argc, argv);
    for (size_t i = 0; i < N_WORDS; i++)
        words[i] = commands[i].word;
    near = nearest_word(argv[0], words, N_WORDS);
    fprintf(stderr, "mspeckv: unknown command '%.80s'; %s%s%s\n", argv[0],
            near != NULL ? "did you mean '" : "`mspeckv help` lists them", near != NULL ? near : "",
            near != NULL ? "'?" : "");
    return EXIT_USAGE;
}

int command_main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return run_word(argc - 1, argv + 1);
}
