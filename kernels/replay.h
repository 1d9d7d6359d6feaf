/*
 * replay.h - replayed acceptance: how many proposals stand is given beforehand,
 * not found out.
 *
 * For weights whose acceptance means nothing (random ones): every pass and every
 * judgement is computed as always, then the outcome is overruled so that its
 * mean is a published one. The tokens are then proposals that nobody vouches
 * for, so nothing that comes of it is exact. Pure functions of seed and position.
 */
#ifndef KERNELS_REPLAY_H
#define KERNELS_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

/* Accepted proposals of a verification that begins behind position base_pos:
 * floor(mean) or one more, so that the expectation is `mean`; never more than
 * n_proposed, which is smaller in a trial's last round. mean >= 0. */
uint32_t replay_accepted(double mean, uint64_t seed, uint64_t base_pos, uint32_t n_proposed);

/* Whether the middle level takes the draft's token at `pos`, with probability
 * `rate`. */
bool replay_accepts(double rate, uint64_t seed, uint64_t pos);

#endif
