"""Small exact things to run samplers on."""

import pytest
import torch

from modules.core.plugins import Plugins
from modules.diffusion.denoiser import EpsilonDenoiser, Inputs, sigma_table

TABLE = sigma_table()


def gaussian(s):
    """The ideal denoiser for latents ~ N(0, s²): the mean of the clean ones, given the noisy ones."""
    return lambda x, sigma: x * s**2 / (s**2 + sigma**2)


class WavyNetwork:
    """A cheap network that is not linear and looks at everything it is given; it remembers how often it was called."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, timestep, text, vector=None, concat=None):
        self.calls.append((tuple(x.shape), timestep.tolist(), tuple(text.shape), x.dtype))
        wave = torch.sin(timestep / 100).view(-1, 1, 1, 1)
        heard = text.float().mean(dim=(1, 2)).view(-1, 1, 1, 1)
        for more in (vector, concat):
            if more is not None:
                heard = heard + more.float().flatten(1).mean(dim=1).view(-1, 1, 1, 1)
        return torch.tanh(0.9 * x + 0.1 * x.roll(1, -1) + 0.1 * wave + heard)


@pytest.fixture(scope="session")
def plugins():
    plugins = Plugins("engine")
    for folder in ("samplers", "schedules", "guidance"):
        plugins.add_package(f"modules.diffusion.{folder}")
    return plugins


@pytest.fixture(scope="session")
def samplers(plugins):
    return plugins.collect("register_samplers")


@pytest.fixture(scope="session")
def schedules(plugins):
    return plugins.collect("register_schedules")


@pytest.fixture(scope="session")
def guidance(plugins):
    return plugins.collect("register_guidance")


@pytest.fixture(scope="session")
def table():
    return TABLE


@pytest.fixture
def ideal():
    return gaussian


@pytest.fixture
def wavy():
    """(network, denoise): the network and D(x, sigma) of it, with a text of zeros."""
    network = WavyNetwork()
    denoiser = EpsilonDenoiser(network, TABLE)
    return network, lambda x, sigma: denoiser(x, sigma, Inputs(torch.zeros(x.shape[0], 1, 1)))
