#include "tools/synth/options.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/args.h"

static const char USAGE[] = "--arch NAME --out DIR [options]";

/* As they stand on the line; 0: not given. */
struct flags {
    const char *arch, *out, *tokenizer;
    int64_t hidden, heads, kv_heads, head_dim, intermediate, layers, vocab;
    int64_t seed, threads;
    double theta, shard_gb;
    int dtype;
};

enum { N_SPECS = 16, MAX_THREADS = 32 };

static size_t list_specs(struct arg_spec spec[N_SPECS], struct flags *f)
{
    const struct arg_spec all[N_SPECS] = {
        {"arch", ARG_STRING, &f->arch, NULL, 0, 0, NULL, "NAME", "a shape listed below, or custom"},
        {"out", ARG_STRING, &f->out, NULL, 0, 0, NULL, "DIR", "a new or an empty directory"},
        {"seed", ARG_INT, &f->seed, NULL, 0, 9007199254740992.0, NULL, "S", "of the weights"},
        {"dtype", ARG_CHOICE, &f->dtype, NULL, 0, 0, "bf16|f16|f32", "D", "of the weights"},
        {"layers", ARG_INT, &f->layers, NULL, 1, 256, NULL, "N", "other than the shape has"},
        {"tokenizer", ARG_STRING, &f->tokenizer, NULL, 0, 0, NULL, "PATH",
         "file or checkpoint directory; default: the demo model's"},
        {"shard-size", ARG_REAL, &f->shard_gb, NULL, 1e-6, 1e6, NULL, "GB", "of a file"},
        {"threads", ARG_INT, &f->threads, NULL, 1, MAX_THREADS, NULL, "N",
         "all CPUs if absent, up to 32"},
        {"hidden", ARG_INT, &f->hidden, NULL, 8, 65536, NULL, "N", "custom: width of the stream"},
        {"heads", ARG_INT, &f->heads, NULL, 1, 1024, NULL, "N", "custom: query heads"},
        {"kv-heads", ARG_INT, &f->kv_heads, NULL, 1, 1024, NULL, "N", "custom; default --heads"},
        {"head-dim", ARG_INT, &f->head_dim, NULL, 8, 65536, NULL, "N",
         "custom; default --hidden / --heads"},
        {"intermediate", ARG_INT, &f->intermediate, NULL, 1, 1 << 20, NULL, "N",
         "custom: width of the MLP"},
        {"vocab", ARG_INT, &f->vocab, NULL, 1, 1000000, NULL, "N", "custom: tokens"},
        {"rope-theta", ARG_REAL, &f->theta, NULL, 1.001, 1e15, NULL, "X", "custom; default 10000"},
    };
    size_t n = 0;

    for (; n < N_SPECS && all[n].name != NULL; n++)
        spec[n] = all[n];
    return n;
}

static void print_help(const struct arg_spec *spec, size_t n_specs)
{
    const struct arch *a;

    args_help(stdout, "mspeckv synth", USAGE, spec, n_specs);
    printf("\nWrites a checkpoint with random weights, to measure speed with. Shapes:\n");
    for (size_t i = 0; (a = arch_at(i)) != NULL; i++)
        printf("  %-16s %2u layers of %u, heads %u/%u of %u, %u tokens\n", a->name, a->n_layers,
               a->hidden, a->n_heads, a->n_kv_heads, a->head_dim, a->n_vocab);
}

/* The first flag of a custom shape that is given, or that is missing. */
static const char *custom_flag(const struct flags *f, bool given)
{
    const struct {
        const char *name;
        bool given, needed;
    } flag[] = {
        {"hidden", f->hidden != 0, true},
        {"heads", f->heads != 0, true},
        {"intermediate", f->intermediate != 0, true},
        {"vocab", f->vocab != 0, true},
        {"kv-heads", f->kv_heads != 0, false},
        {"head-dim", f->head_dim != 0, false},
        {"rope-theta", f->theta != 0, false},
    };

    for (size_t i = 0; i < sizeof flag / sizeof flag[0]; i++)
        if (flag[i].given == given && (given || flag[i].needed))
            return flag[i].name;
    return NULL;
}

static enum status make_custom(struct arch *out, const struct flags *f, struct err *err)
{
    const char *missing = f->layers == 0 ? "layers" : custom_flag(f, false);

    if (missing != NULL)
        return err_set(err, ST_INVALID, "--arch custom needs --%s", missing);
    if (f->head_dim == 0 && f->hidden % f->heads != 0)
        return err_set(err, ST_INVALID,
                       "--heads %d does not divide --hidden %d; --head-dim says "
                       "how wide a head is",
                       (int)f->heads, (int)f->hidden);
    *out =
        (struct arch){.name = "custom",
                      .origin = "none",
                      .family = ARCH_LLAMA,
                      .hidden = (uint32_t)f->hidden,
                      .intermediate = (uint32_t)f->intermediate,
                      .n_heads = (uint32_t)f->heads,
                      .n_kv_heads = (uint32_t)(f->kv_heads > 0 ? f->kv_heads : f->heads),
                      .head_dim = (uint32_t)(f->head_dim > 0 ? f->head_dim : f->hidden / f->heads),
                      .n_vocab = (uint32_t)f->vocab,
                      .max_positions = 131072,
                      .rms_eps = 1e-5,
                      .rope_theta = f->theta > 0 ? f->theta : 10000.0};
    return ST_OK;
}

static enum status make_arch(struct arch *out, const struct flags *f, struct err *err)
{
    const struct arch *known = arch_find(f->arch);
    enum status st = ST_OK;

    if (known == NULL && strcasecmp(f->arch, "custom") != 0)
        return err_set(err, ST_INVALID,
                       "--arch '%.60s' is not known; --help lists the shapes, custom takes one by "
                       "its numbers",
                       f->arch);
    if (known != NULL && custom_flag(f, true) != NULL)
        return err_set(err, ST_INVALID, "--%s goes with --arch custom, not with %s",
                       custom_flag(f, true), known->name);
    if (known != NULL)
        *out = *known;
    else
        st = make_custom(out, f, err);
    if (st == ST_OK && f->layers > 0)
        out->n_layers = (uint32_t)f->layers;
    return st == ST_OK ? arch_check(out, err) : st;
}

static int default_threads(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : MAX_THREADS;

    return n < MAX_THREADS ? n : MAX_THREADS;
}

enum status options_parse(struct options *out, int argc, char **argv, struct err *err)
{
    struct flags f = {.seed = 1, .shard_gb = 5.0, .threads = default_threads()};
    struct arg_spec spec[N_SPECS];
    size_t n_specs = list_specs(spec, &f);
    enum status st = args_parse(spec, n_specs, argc, argv, NULL, err);

    if (st == ST_CLOSED)
        print_help(spec, n_specs);
    if (st != ST_OK)
        return st;
    if (f.arch == NULL || f.out == NULL || f.out[0] == '\0')
        return err_set(err, ST_INVALID, "--%s is missing: mspeckv synth %s",
                       f.arch == NULL ? "arch" : "out", USAGE);
    st = make_arch(&out->arch, &f, err);
    out->args = (struct synth_args){.arch = &out->arch,
                                    .out = f.out,
                                    .dtype = (enum weight_dtype)f.dtype,
                                    .seed = (uint64_t)f.seed,
                                    .shard_bytes = (uint64_t)(f.shard_gb * 1e9),
                                    .tokenizer = f.tokenizer,
                                    .n_threads = (int)f.threads};
    return st;
}
