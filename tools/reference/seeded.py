"""Random numbers that depend on a seed and a name only."""

import zlib

import numpy as np
import torch


def normal(seed, name, shape, std=1.0):
    """F32 tensor; the same for a (seed, name) wherever and in whatever order it is asked for."""
    generator = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
    values = generator.standard_normal(shape) * std
    return torch.from_numpy(values.astype(np.float32))


def tokens(seed, n, n_vocab):
    """List of n ids in [0, n_vocab)."""
    generator = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(b"tokens")]))
    return [int(i) for i in generator.integers(0, n_vocab, n)]
