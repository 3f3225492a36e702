"""Distances between sets of pictures by torchmetrics, over features that somebody else worked out.

FID: Heusel et al. 2017, arXiv:1706.08500. KID: Binkowski et al. 2018, arXiv:1801.01401. Inception score: Salimans et
al. 2016, arXiv:1606.03498. Whatever names the number must name the extractor and N: each depends on both.
"""

import warnings
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

FEWEST = 2  # pictures on either side
SUBSETS = 50  # of KID, when the two sets differ in size


class Given(nn.Module):
    """Stands where torchmetrics wants a network: the features are given to it in place of pictures."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) to (n, d)."""
        return features


def fid(pictures: Tensor, reference: Tensor) -> float:
    """Fréchet distance between features (n, d) and (m, d), in float64; at least two on each side.

    With fewer pictures than features the covariances are singular and the number is mostly bias: two samples of the
    same thing are far from 0.
    """
    reference, pictures = _within_their_span(reference.double(), pictures.double())
    metric = FrechetInceptionDistance(feature=Given(pictures.shape[1]))
    metric.update(reference, real=True)
    metric.update(pictures, real=False)
    return float(metric.compute())


def _within_their_span(reference: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The same points in as few dimensions as they span, turned and moved, which changes no Fréchet distance.

    Some dozens of pictures have 2048 features each; without this the root of a 2048 x 2048 matrix takes half a minute.
    """
    together = torch.cat([reference, pictures])
    if len(together) > together.shape[1]:
        return reference, pictures
    together = together - together.mean(dim=0)
    turned = together @ torch.linalg.qr(together.T)[0]
    return turned[: len(reference)], turned[len(reference) :]


def softmax_fid(pictures: Tensor, reference: Tensor) -> float:
    """The same over class probabilities, from logits (n, k): what Subject2Subject's table prints. Never above 2 or so."""
    return fid(pictures.double().softmax(dim=1), reference.double().softmax(dim=1))


def inception_score(logits: Tensor, splits: int = 1, seed: int = 0) -> float:
    """exp of the mean of KL(p(y|x) || p(y)), over logits (n, k): 1 for pictures all alike, k at most."""
    with _quiet(seed):
        metric = InceptionScore(feature=Given(logits.shape[1]), splits=splits)
        metric.update(logits.double())
        return float(metric.compute()[0])


def kid(pictures: Tensor, reference: Tensor, seed: int = 0) -> float:
    """Kernel distance: unlike FID it has no bias from few pictures, and may fall below 0."""
    size = min(len(pictures), len(reference))
    subsets = 1 if len(pictures) == len(reference) else SUBSETS
    with _quiet(seed):
        metric = KernelInceptionDistance(feature=Given(pictures.shape[1]), subsets=subsets, subset_size=size)
        metric.update(reference.double(), real=True)
        metric.update(pictures.double(), real=False)
        return float(metric.compute()[0])


@contextmanager
def _quiet(seed: int) -> Generator[None]:
    """torchmetrics shuffles with torch's own generator, and warns that it keeps features: neither is to be noticed."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield
