"""Pictures whose left and right, top and bottom edges fit: convolutions that see the picture as a torus.

Every convolution that pads with zeros pads with what is at the opposite edge instead. Attention and norms do not know
where the edges are.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def tiled(networks: Iterable[nn.Module]) -> Iterator[None]:
    """While inside, these networks (the U-Net and the autoencoder) work on a torus."""
    convolutions = [one for network in networks for one in network.modules() if isinstance(one, nn.Conv2d)]
    before = [one.padding_mode for one in convolutions]
    try:
        for one in convolutions:
            one.padding_mode = "circular"
        yield
    finally:
        for one, mode in zip(convolutions, before, strict=True):
            one.padding_mode = mode
