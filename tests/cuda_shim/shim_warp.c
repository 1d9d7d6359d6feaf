#include "tests/cuda_shim/shim_warp.h"

#include <string.h>

#include "kernels/half.h"

#define LANES SHIM_WARP_LANES

static void finish_shuffle(struct shim_warp_call *const call[LANES])
{
    uint64_t brought[LANES] = {0};

    for (int l = 0; l < LANES; l++)
        if (call[l])
            brought[l] = call[l]->value;
    for (int l = 0; l < LANES; l++) {
        if (!call[l])
            continue;
        if (!call[call[l]->source])
            shim_block_fail(call[l]->wait.file, call[l]->wait.line,
                            "%s: lane %d reads lane %d, which does not take part",
                            call[l]->wait.name, l, call[l]->source);
        call[l]->value = brought[call[l]->source];
    }
}

/* The lane that `lane` reads: its own if the one asked for is outside of its
 * segment of `width` lanes. */
static int source_lane(enum shim_shuffle kind, int lane, int from, int width)
{
    int begin = lane / width * width, end = begin + width;
    int source = lane;

    switch (kind) {
    case SHIM_SHUFFLE_INDEX:
        return begin + (from & (width - 1));
    case SHIM_SHUFFLE_UP:
        source = lane - from;
        break;
    case SHIM_SHUFFLE_DOWN:
        source = lane + from;
        break;
    case SHIM_SHUFFLE_XOR:
        source = lane ^ from;
        return source < end ? source : lane; /* earlier segments may be read */
    }
    return source >= begin && source < end ? source : lane;
}

uint64_t shim_warp_shuffle(enum shim_shuffle kind, uint64_t value, int from, int width,
                           struct shim_wait wait)
{
    struct shim_warp_call call = {.wait = wait, .finish = finish_shuffle, .value = value};

    if (width < 1 || width > LANES || (width & (width - 1)) != 0)
        shim_block_fail(wait.file, wait.line, "%s: a width of %d is no power of two up to 32",
                        wait.name, width);
    if (kind != SHIM_SHUFFLE_INDEX && (from < 0 || from >= LANES))
        shim_block_fail(wait.file, wait.line, "%s: a distance of %d lanes", wait.name, from);
    call.source = source_lane(kind, shim_block_lane(), from, width);
    shim_block_warp(&call);
    return call.value;
}

static void finish_ballot(struct shim_warp_call *const call[LANES])
{
    uint64_t bits = 0;

    for (int l = 0; l < LANES; l++)
        if (call[l] && call[l]->value)
            bits |= 1u << l;
    for (int l = 0; l < LANES; l++)
        if (call[l])
            call[l]->value = bits;
}

uint32_t shim_warp_ballot(bool value, struct shim_wait wait)
{
    struct shim_warp_call call = {.wait = wait, .finish = finish_ballot, .value = value};

    shim_block_warp(&call);
    return (uint32_t)call.value;
}

void shim_warp_sync(struct shim_wait wait)
{
    struct shim_warp_call call = {.wait = wait};

    shim_block_warp(&call);
}

/* The aligned instructions need the whole warp. */
static void need_all(struct shim_warp_call *const call[LANES])
{
    const struct shim_wait *wait = NULL;

    for (int l = 0; l < LANES; l++)
        if (call[l])
            wait = &call[l]->wait;
    for (int l = 0; l < LANES; l++)
        if (!call[l])
            shim_block_fail(wait->file, wait->line,
                            "%s: lane %d of the warp has ended or never was", wait->name, l);
}

static float half_of(uint32_t pair, int high, bool bf16)
{
    uint16_t h = (uint16_t)(high ? pair >> 16 : pair);

    return bf16 ? half_from_bf16(h) : half_from_f16(h);
}

static void finish_mma(struct shim_warp_call *const call[LANES])
{
    float a[16][16], b[16][8];

    need_all(call);
    for (int l = 0; l < LANES; l++) {
        int g = l / 4, t = l % 4;
        for (int i = 0; i < 8; i++)
            a[g + i / 2 % 2 * 8][2 * t + i % 2 + i / 4 * 8] =
                half_of(call[l]->a[i / 2], i % 2, call[l]->bf16);
        for (int i = 0; i < 4; i++)
            b[2 * t + i % 2 + i / 2 * 8][g] = half_of(call[l]->b[i / 2], i % 2, call[l]->bf16);
    }
    for (int l = 0; l < LANES; l++) {
        int g = l / 4, t = l % 4;
        for (int i = 0; i < 4; i++) {
            float sum = call[l]->d[i];
            for (int k = 0; k < 16; k++)
                sum += a[g + i / 2 * 8][k] * b[k][2 * t + i % 2];
            call[l]->d[i] = sum;
        }
    }
}

void shim_warp_mma(float d[4], const uint32_t a[4], const uint32_t b[2], bool bf16,
                   struct shim_wait wait)
{
    struct shim_warp_call call = {
        .wait = wait, .finish = finish_mma, .d = d, .a = a, .b = b, .bf16 = bf16};

    shim_block_warp(&call);
}

static void finish_ldmatrix(struct shim_warp_call *const call[LANES])
{
    uint16_t m[4][8][8];

    need_all(call);
    for (int l = 0; l < LANES; l++) {
        if ((uintptr_t)call[l]->row % 16 != 0)
            shim_block_fail(call[l]->wait.file, call[l]->wait.line,
                            "ldmatrix: the row of lane %d is not 16-byte aligned", l);
        memcpy(m[l / 8][l % 8], call[l]->row, sizeof m[0][0]);
    }
    for (int l = 0; l < LANES; l++) {
        int g = l / 4, t = l % 4;
        for (int i = 0; i < 4; i++) {
            uint16_t lo = call[l]->trans ? m[i][2 * t][g] : m[i][g][2 * t];
            uint16_t hi = call[l]->trans ? m[i][2 * t + 1][g] : m[i][g][2 * t + 1];
            call[l]->r[i] = lo | (uint32_t)hi << 16;
        }
    }
}

void shim_warp_ldmatrix(uint32_t r[4], const void *row, bool trans, struct shim_wait wait)
{
    struct shim_warp_call call = {
        .wait = wait, .finish = finish_ldmatrix, .r = r, .row = row, .trans = trans};

    shim_block_warp(&call);
}
