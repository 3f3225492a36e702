"""Small meters: how near pictures are to those trained on, how different from each other, how sure a figure is."""

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

RESAMPLED = 1000  # times
SURE = 0.95
Z = 1.959963984540054  # of the normal distribution, for 95 %


# How near to the training pictures ------------------------------------------------------------------------------------


def nearest(pictures: Tensor, training: Tensor) -> Tensor:
    """Cosine of each picture with the training picture that is most like it, (n,). Unit vectors (n, d), (m, d)."""
    return (pictures @ training.T).amax(dim=1)


def nearest_among(training: Tensor) -> Tensor:
    """The same of each training picture with the other ones, (m,); empty for fewer than two."""
    if len(training) < 2:
        return training.new_empty(0)
    cosines = training @ training.T
    return cosines.masked_fill(torch.eye(len(training), dtype=torch.bool), -1.0).amax(dim=1)


def memorised(pictures: Tensor, training: Tensor, untaught: Tensor) -> Tensor:
    """Which pictures, (n,) bool, are copies rather than new pictures of the subject. untaught: of the base model, (k, d).

    A copy is nearer to a training picture than any two training pictures are to each other, and than any picture comes
    that the base model draws for the same prompts: one place looks like itself whoever stands there.
    """
    limits = torch.cat([nearest_among(training), nearest(untaught, training)])
    if not len(limits):
        return torch.zeros(len(pictures), dtype=torch.bool)
    return nearest(pictures, training) > limits.max()


# How different from each other ----------------------------------------------------------------------------------------


def distances(pictures: Tensor) -> Tensor:
    """Mean of 1 - cos of each picture with the others of its set, (n,); their mean is the mean over all pairs."""
    count = len(pictures)
    if count < 2:
        return pictures.new_empty(0)
    return (count - (pictures @ pictures.T).sum(dim=1)) / (count - 1)


def effective_number(words: Sequence[str]) -> float:
    """exp of the entropy of how often each word was read: 1 when always the same, k when k come equally often.

    >>> effective_number(["red", "blue", "red", "blue"])
    2.0
    """
    if not words:
        return 0.0
    shares = [count / len(words) for count in Counter(words).values()]
    return round(math.exp(-sum(share * math.log(share) for share in shares)), 12)


# How sure -------------------------------------------------------------------------------------------------------------


def mean_interval(values: Tensor, seed: int) -> tuple[float, float]:
    """95 % of the means of samples drawn from these with replacement (percentile bootstrap); always the same ones."""
    if len(values) < 2:
        return (math.nan, math.nan)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(values), (RESAMPLED, len(values)), generator=generator)
    means = values.double()[drawn].mean(dim=1)
    ends = torch.tensor([(1 - SURE) / 2, (1 + SURE) / 2], dtype=torch.float64)
    low, high = torch.quantile(means, ends).tolist()
    return low, high


def share_interval(right: int, count: int) -> tuple[float, float]:
    """95 % around a share (Wilson 1927): 8 of 8 is not certainty, which resampling would claim.

    >>> [round(end, 3) for end in share_interval(8, 8)]
    [0.676, 1.0]
    """
    if not count:
        return (math.nan, math.nan)
    share, square = right / count, Z * Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
