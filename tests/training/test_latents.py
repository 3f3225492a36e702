"""Pictures as latents: the posterior of the autoencoder, against diffusers' own."""

from dataclasses import replace

import pytest
import torch

from modules.core.errors import NotFinite
from modules.core.training import TrainingPlan
from modules.training.chance import generator
from modules.training.latents import Frame, Latents, Posterior, encoded, frame_of, still_frames, tensor_of
from modules.training.pictures import examples
from tests.training.pictures_on_disk import file_of, noise

PLAN = TrainingPlan(pictures=("a",))


def picture(width=64, height=64, plan=PLAN):
    (found,) = examples([file_of(noise(width, height))], plan, 64, 8)
    return found


def test_the_posterior_is_that_of_diffusers(tiny):
    model, example = tiny("sd1"), picture()
    found = encoded(model, example.pixels)
    with torch.no_grad():
        known = model.vae.encode(tensor_of(example.pixels)).latent_dist
    assert torch.equal(found.mean, known.mean[0])
    assert torch.equal(found.deviation, known.std[0])
    drawn = found.drawn(generator(3))
    epsilon = torch.randn(found.mean.shape, generator=generator(3))
    assert torch.equal(drawn, known.mean[0] + known.std[0] * epsilon)
    assert found.drawn(None) is found.mean
    assert torch.equal(Latents(model, keep=False).scaled(found, None), found.mean * model.scaling_factor)
    # the same as what img2img takes, which is the mean
    assert torch.allclose(model.encode_picture(tensor_of(example.pixels))[0], found.mean * model.scaling_factor)


def test_pixels_go_from_minus_one_to_one():
    tensor = tensor_of(picture().pixels)
    assert tensor.shape == (1, 3, 64, 64)
    assert torch.equal(tensor, torch.from_numpy(picture().pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1)


def test_what_comes_back_is_encoded_once(tiny, monkeypatch):
    asked = []
    real = encoded
    monkeypatch.setattr("modules.training.latents.encoded", lambda *known: asked.append(1) or real(*known))
    example, still = picture(), Frame(0, 0, False)
    kept, fleeting = Latents(tiny("sd1"), keep=True), Latents(tiny("sd1"), keep=False)
    assert kept.posterior("a", example, still) is kept.posterior("a", example, still)
    mirrored = kept.posterior("a", example, Frame(0, 0, True))
    assert len(asked) == 2
    assert not torch.equal(mirrored.mean, kept.posterior("a", example, still).mean)
    fleeting.posterior("a", example, still)
    fleeting.posterior("a", example, still)
    moving = picture(128, 64, replace(PLAN, crop="random"))
    for _ in range(2):
        kept.posterior("b", moving, Frame(3, 0, False))
    assert len(asked) == 6


def test_frames():
    flipping, moving = replace(PLAN, random_flip=True), picture(128, 64, replace(PLAN, crop="random"))
    frames = [frame_of(moving, flipping, generator(n)) for n in range(200)]
    assert {one.top for one in frames} == {0}
    assert {min(one.left for one in frames), max(one.left for one in frames)} <= {*range(5), *range(60, 65)}
    assert 70 < sum(one.mirrored for one in frames) < 130
    assert not any(frame_of(moving, PLAN, generator(n)).mirrored for n in range(50))
    assert frame_of(picture(), PLAN, generator(1)) == Frame(0, 0, False)
    assert still_frames(picture(), flipping) == [Frame(0, 0, False), Frame(0, 0, True)]
    assert still_frames(picture(), PLAN) == [Frame(0, 0, False)]
    assert still_frames(moving, PLAN) == []


def test_where_a_frame_lies_in_the_picture():
    wide = picture(128, 64)
    assert wide.crop == (32, 0)
    assert Frame(0, 0, False).crop(wide) == (0, 32)  # (top, left)
    moving = picture(128, 64, replace(PLAN, crop="random"))
    assert Frame(10, 0, False).crop(moving) == (0, 10)
    assert Frame(10, 0, True).crop(moving) == (0, 54)


class HalfBroken(torch.nn.Module):
    """An autoencoder that overflows in half precision, as that of SDXL does."""

    def __init__(self, broken=torch.float16):
        super().__init__()
        self.weight, self.broken = torch.nn.Parameter(torch.ones(1, dtype=torch.float16)), broken

    def encode(self, pixels):
        mean = pixels.mean(dim=(2, 3), keepdim=True)
        bad = self.broken in (self.weight.dtype, "always")
        posterior = Posterior(mean * (float("nan") if bad else 1.0), torch.zeros_like(mean))
        return type("Answer", (), {"latent_dist": type("P", (), {"mean": posterior.mean, "std": posterior.deviation})})


def test_overflow_is_tried_again_in_32_bits(tiny):
    model = replace(tiny("sd1"), vae=HalfBroken())
    assert torch.isfinite(encoded(model, picture().pixels).mean).all()
    assert model.vae.weight.dtype == torch.float16
    with pytest.raises(NotFinite, match=r"for my\.png; choose another VAE"):
        encoded(replace(model, vae=HalfBroken("always")), picture().pixels, "my.png")
    assert model.vae.weight.dtype == torch.float16


def test_the_loops_lower_precision_does_not_reach_the_autoencoder(tiny):
    wanted = encoded(tiny("sd1"), picture().pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoded(tiny("sd1"), picture().pixels).mean, wanted.mean)
