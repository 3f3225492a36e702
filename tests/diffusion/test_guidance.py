"""Ways of guidance: each against its paper's formula."""

import math

import numpy as np
import pytest
import torch

from modules.core.errors import UnknownName
from modules.diffusion.guidance.cfg import cfg
from modules.diffusion.guidance.cfg_rescale import cfg_rescale
from modules.diffusion.guidance.dynamic_thresholding import dynamic_thresholding

SIGMA = 2.0


@pytest.fixture
def estimates():
    """x, cond, uncond for three pictures, each channel with a mean of its own."""
    drawn = torch.randn(3, 3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    return drawn[0] * 2, drawn[1] + torch.arange(4).view(1, 4, 1, 1), drawn[2]


def velocity(x, denoised):
    return (x / (SIGMA**2 + 1) - denoised) * math.sqrt(SIGMA**2 + 1) / SIGMA


def test_the_three(guidance):
    assert set(guidance) == {"CFG", "CFG rescale", "Dynamic thresholding"}
    assert guidance.find("classifier-free").name == "CFG"
    assert guidance["CFG rescale"].options == ("x", "sigma", "guidance_rescale")
    assert guidance["Dynamic thresholding"].options == ("threshold_percentile",)
    with pytest.raises(UnknownName, match="did you mean 'CFG rescale'"):
        guidance.find("CFG rescaled")


def test_cfg_is_the_line_through_both(estimates):
    _, cond, uncond = estimates
    assert torch.equal(cfg(cond, uncond, 0.0), uncond)
    assert torch.allclose(cfg(cond, uncond, 1.0), cond, atol=1e-6)
    assert torch.allclose(cfg(cond, uncond, 3.0) - uncond, 3 * (cond - uncond), atol=1e-5)


def test_rescaled_guidance_keeps_the_spread_of_the_velocity(estimates):
    x, cond, uncond = estimates
    found = velocity(x, cfg_rescale(cond, uncond, 9.0, x=x, sigma=SIGMA, guidance_rescale=1.0))
    wanted = velocity(x, cond)
    assert torch.allclose(found.std((1, 2, 3)), wanted.std((1, 2, 3)), rtol=1e-4)
    plain = velocity(x, cfg(cond, uncond, 9.0))
    assert (plain.std((1, 2, 3)) > 2 * wanted.std((1, 2, 3))).all()


def test_a_part_of_the_rescaling_is_a_mixture(estimates):
    x, cond, uncond = estimates
    none, part, whole = (
        cfg_rescale(cond, uncond, 9.0, x=x, sigma=SIGMA, guidance_rescale=share) for share in (0.0, 0.7, 1.0)
    )
    assert torch.allclose(none, cfg(cond, uncond, 9.0), atol=1e-4)
    assert torch.allclose(part, 0.3 * none + 0.7 * whole, atol=1e-4)


def test_thresholding_pulls_in_what_lies_beyond_the_percentile(estimates):
    _, cond, uncond = estimates
    found = dynamic_thresholding(cond, uncond, 9.0, threshold_percentile=0.9)
    plain = cfg(cond, uncond, 9.0)
    for picture in range(3):
        for_numpy = [(one[picture] - one[picture].mean((1, 2), keepdim=True)).numpy() for one in (plain, cond)]
        extent, wanted = (np.quantile(np.abs(one), 0.9) for one in for_numpy)
        expected = np.clip(for_numpy[0], -extent, extent) * wanted / extent
        mean = plain[picture].mean((1, 2), keepdim=True).numpy()
        assert found[picture].numpy() == pytest.approx(mean + expected, abs=1e-4)


def test_thresholding_leaves_weak_guidance_alone(estimates):
    _, cond, _ = estimates
    uncond = cond * 1.05  # guidance then shortens
    found = dynamic_thresholding(cond, uncond, 3.0, threshold_percentile=1.0)
    assert torch.allclose(found, cfg(cond, uncond, 3.0), atol=1e-5)


@pytest.mark.parametrize("percentile", [0.5, 0.995, 1.0])
def test_thresholding_treats_each_picture_alone(estimates, percentile):
    _, cond, uncond = estimates
    both = dynamic_thresholding(cond, uncond, 9.0, threshold_percentile=percentile)
    one = dynamic_thresholding(cond[1:2], uncond[1:2], 9.0, threshold_percentile=percentile)
    assert torch.allclose(both[1:2], one, atol=1e-6)


def test_rescaling_treats_each_picture_alone(estimates):
    x, cond, uncond = estimates
    both = cfg_rescale(cond, uncond, 9.0, x=x, sigma=SIGMA)
    one = cfg_rescale(cond[1:2], uncond[1:2], 9.0, x=x[1:2], sigma=SIGMA)
    assert torch.allclose(both[1:2], one, atol=1e-5)


def test_flat_estimates_are_no_division_by_zero():
    flat = torch.ones(1, 4, 8, 8)
    assert torch.equal(dynamic_thresholding(flat, flat, 7.0), flat)
