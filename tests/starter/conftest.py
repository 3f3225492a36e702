"""A tiny build of the starter model, and the finished model when it is there."""

import logging

import pytest
import torch

from modules.starter.autoencoder import AutoencoderShape
from modules.starter.build import CHECKPOINT, JUDGES
from modules.starter.clip import ClipShape
from modules.starter.emphasis import EmphasisShape
from modules.starter.identity import IdentityShape
from modules.starter.judge import JudgeShape
from modules.starter.recipe import Build, Sizes
from modules.starter.unet import UnetShape
from modules.starter.world import FIRST


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small networks are fastest on one thread, and with another number of threads the last bits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_sizes() -> Sizes:
    return Sizes(
        words=FIRST,
        size=64,
        pictures=24,
        encoded=16,
        autoencoder_steps=3,
        decoder_steps=2,
        clip_steps=2,
        vision_steps=2,
        judge_steps=2,
        identity_steps=2,
        halved_steps=2,
        unet_steps=3,
        emphasis_steps=2,
        autoencoder=AutoencoderShape(channels=(8, 8, 8, 16), crop=32, batch=2),
        clip=ClipShape(width=32, layers=1, heads=2, batch=4),
        judge=JudgeShape(batch=5, restored=8, held_out=5, measured=4),
        identity=IdentityShape(pictures=12, restored=6, measured=8, batch=4),
        unet=UnetShape(channels=(16, 32), attention=(True, False), heads=(1, 2), groups=8, batch=2, halved_batch=2),
        emphasis=EmphasisShape(batch=3, rivals=2),
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_sizes) -> Build:
    """A whole tiny build, trained when its parts are first asked for."""
    logging.getLogger("modules.starter").setLevel(logging.WARNING)
    folder = tmp_path_factory.mktemp("tiny")
    return Build(sizes=tiny_sizes, folder=folder, early=folder / "early.safetensors")


@pytest.fixture(scope="session")
def starter():
    """Path of the model in the repository."""
    assert CHECKPOINT.exists(), "the starter model belongs to every checkout"
    return CHECKPOINT


@pytest.fixture(scope="session")
def judges(starter):
    assert (JUDGES / "judge.safetensors").exists(), "the judge belongs to every checkout"
    return JUDGES
