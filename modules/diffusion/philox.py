"""The random numbers of an NVIDIA card on any machine: Philox4x32-10, Salmon et al. 2011 (Random123), and Box–Muller."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85  # golden ratio and √3 - 1: what the key grows by in each round
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
BLOCK = 8192  # numbers at a time: what fits into a processor's cache is twice as fast

Words = NDArray[np.uint64]  # each holds 32 bits


def philox4x32(counter: tuple[Words, Words, Words, Words], key: int) -> tuple[Words, Words, Words, Words]:
    """Four random words of 32 bits for each counter of four words, under a key of 64 bits. Shapes broadcast."""
    a, b, c, d = counter
    key_low, key_high = key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF
    for _ in range(ROUNDS):
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a = (second >> HALF) ^ b ^ np.uint64(key_low)
        c = (first >> HALF) ^ d ^ np.uint64(key_high)
        b, d = second & LOW, first & LOW
        key_low, key_high = (key_low + WEYL[0]) & 0xFFFFFFFF, (key_high + WEYL[1]) & 0xFFFFFFFF
    return a, b, c, d


def box_muller(x: Words, y: Words) -> NDArray[np.float32]:
    """Two words -> one normal number: Box and Muller 1958, with the rounding of CUDA's curand."""
    scale = np.float32(2.0**-32)
    u = x.astype(np.float32) * scale + scale / np.float32(2)
    angle = np.float32(2.0**-32 * 2 * math.pi)
    v = y.astype(np.float32) * angle + angle / np.float32(2)
    return np.sqrt(np.float32(-2) * np.log(u)) * np.sin(v)


class PhiloxGenerator:
    """Answers what torch.randn answers on an NVIDIA card: the n-th call there is the n-th call here."""

    def __init__(self, seed: int) -> None:
        self._key, self._call = seed & (2**64 - 1), 0

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """Unit normal numbers of this shape, float32, on the CPU."""
        found = np.empty(math.prod(shape), dtype=np.float32)
        call, zero = np.array(self._call, dtype=np.uint64), np.array(0, dtype=np.uint64)
        for first in range(0, len(found), BLOCK):
            index = np.arange(first, min(first + BLOCK, len(found)), dtype=np.uint64)
            x, y, _, _ = philox4x32((call, zero, index, zero), self._key)
            found[first : first + BLOCK] = box_muller(x, y)
        self._call += 1
        return torch.from_numpy(found).reshape(shape)
