"""The losses on another device than the CPU: no GPU is needed to see a tensor that was left behind.

Tensors of torch's "meta" device have shapes and no numbers, and refuse to be mixed with those of the CPU.
"""

from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch import Generator

from modules.starter import autoencoder, clip, emphasis, judge, unet
from modules.starter.autoencoder import AutoencoderShape, build_autoencoder
from modules.starter.clip import CONTEXT, ClipShape, build_clip, text_encoder_of
from modules.starter.emphasis import EmphasisShape
from modules.starter.loop import CPU
from modules.starter.pictures import Gallery
from modules.starter.rivals import NONE, Colours
from modules.starter.unet import Examples, Painter, UnetShape, build_unet
from modules.starter.world import FIRST

META = torch.device("meta")
SMALL = UnetShape(channels=(16, 32), attention=(True, False), heads=(1, 2), groups=8, batch=2)
SHAPE = AutoencoderShape(channels=(8, 8, 8, 16), crop=32, batch=2)


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    for module in (autoencoder, clip, judge, unet):
        monkeypatch.setattr(module, "mixed", lambda device: nullcontext())


def pictures(device):
    return torch.zeros(4, 64, 64, 3, dtype=torch.uint8, device=device)


def texts(device):
    return torch.full((4, 3, CONTEXT), 320, dtype=torch.int32, device=device)


def works(loss, model):
    """Loss and gradients are where the model is."""
    loss = loss(0, Generator().manual_seed(1))
    gradients = torch.autograd.grad(loss, [one for one in model.parameters() if one.requires_grad], allow_unused=True)
    return {one.device.type for one in (loss, *gradients) if one is not None} == {"meta"}


def test_the_autoencoder_learns_elsewhere():
    model = build_autoencoder(SHAPE, 64).to(META)
    assert works(autoencoder.autoencoder_loss(SHAPE, model, pictures(META)), model)


def test_a_tensor_left_behind_is_noticed():
    """Else the other tests could not fail."""
    model = build_autoencoder(SHAPE, 64).to(META)
    with pytest.raises((RuntimeError, NotImplementedError)):
        works(autoencoder.autoencoder_loss(SHAPE, model, pictures(CPU)), model)


def test_the_decoder_learns_elsewhere(monkeypatch):
    model = build_autoencoder(SHAPE, 64).to(META)
    latents = torch.zeros(4, 4, 8, 8, dtype=torch.float16, device=META)
    monkeypatch.setattr(
        torch.Tensor, "std", lambda self: torch.ones(())
    )  # the one number that is read before the steps
    assert works(autoencoder._decoder_loss(SHAPE, model, pictures(META), latents), model)


@pytest.fixture
def painter() -> Painter:
    text_encoder = text_encoder_of(build_clip(ClipShape(width=32, layers=1, heads=2), 64))
    return Painter(build_unet(SMALL, 32, 8), text_encoder).to(META)


@pytest.fixture
def examples() -> Examples:
    return Examples(
        gallery=Gallery(words=FIRST, count=4, size=64),
        latents=torch.zeros(4, 4, 8, 8),
        worn=torch.zeros(4, 8, 8, dtype=torch.uint8),
        texts=texts(CPU),
        wearing=torch.tensor([8, 9]),
        colours=Colours(of=torch.tensor([5, 6, 7, NONE]), all=torch.tensor([5, 6, 7])),
        sharpening=torch.eye(32),
    ).on(META)


def test_the_unet_learns_elsewhere(painter, examples):
    assert works(unet.unet_loss(SMALL, painter, examples), painter)


def test_weights_are_taught_elsewhere(painter, examples):
    shape = EmphasisShape(batch=3, rivals=2)
    assert works(emphasis.emphasis_loss(shape, painter, deepcopy(painter), examples), painter)


def test_clip_learns_elsewhere(monkeypatch):
    monkeypatch.setattr(clip, "shortened", lambda ids: ids[:, :5])  # how long they are is read from the numbers
    shape = ClipShape(width=32, layers=1, heads=2, batch=2)
    model = build_clip(shape, 64).to(META)
    assert works(clip._loss(shape, model, pictures(META), texts(META)), model)
