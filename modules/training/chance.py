"""Every random number of a training, by what it is for: there is no state to save, and nothing else can disturb it.

What is drawn for a picture depends on the step and on the picture's place in it, not on how the step's pictures are
spread over batches, accumulated batches and processes.
"""

import hashlib
import struct
from enum import IntEnum

import torch
from torch import Generator

from modules.core.training import TrainingPlan


class Purpose(IntEnum):
    """What numbers are drawn for: the last of the numbers of `generator`. A picture and its class picture differ in it."""

    ORDER = 0  # of the pictures
    FRAME = 1  # crop and flip
    CAPTION = 2  # order of its parts, and whether it is left out
    LATENTS = 3  # a draw from the posterior
    NOISE = 4
    TIMESTEP = 5
    OFFSET = 6  # the noise's mean
    WEIGHTS = 7  # what a method begins with
    PRIOR = 100  # added to the others for a class picture


def generator(seed: int, *numbers: int) -> Generator:
    """A generator on the CPU for these numbers and no others, e.g. (plan.seed, step, row, purpose)."""
    packed = struct.pack(f"<{1 + len(numbers)}q", seed, *numbers)
    digest = hashlib.blake2b(packed, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def rows(plan: TrainingPlan, micro: int, rank: int = 0, ranks: int = 1) -> range:
    """The places within their step of the pictures in batch `micro` (of those accumulated) of process `rank`."""
    first = (micro * ranks + rank) * plan.train_batch_size
    return range(first, first + plan.train_batch_size)


def rows_per_step(plan: TrainingPlan, ranks: int = 1) -> int:
    """How many pictures make a step, class pictures not counted."""
    return plan.train_batch_size * plan.gradient_accumulation_steps * ranks
