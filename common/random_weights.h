/*
 * random_weights.h - how a checkpoint says that its weights are random.
 *
 * The key stands in config.json; `mspeckv synth` writes it, and whatever runs
 * such a checkpoint looks for it and says so.
 */
#ifndef COMMON_RANDOM_WEIGHTS_H
#define COMMON_RANDOM_WEIGHTS_H

#define RANDOM_WEIGHTS_KEY "mspeckv_synthetic"

#endif
