"""Kept and painted places."""

import pytest
import torch
from sampling import SAMPLERS, SHAPE, ignore

from modules.core.extension_points import Sampler
from modules.diffusion.guided import apart
from modules.diffusion.masking import Blend, MaskedAfter, MaskedBefore, SoftMask
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, image_levels, image_to_image, masked, text_to_image

LEFT = torch.zeros(1, 1, 8, 8)
LEFT[..., :4] = 1  # painted


@pytest.fixture
def original():
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_not_painted_comes_back_exactly(samplers, schedules, table, wavy, original, name):
    sampler = samplers[name]
    plan = SamplingPlan(
        denoise=wavy[1],
        sampler=sampler,
        sigmas=image_levels(sampler, "Automatic", schedules, 6, table, 0.7, False),
        noise=Noise([1, 2], SHAPE),
        on_step=ignore,
        options={"table": table},
    )
    free = image_to_image(plan, original)
    found = image_to_image(masked(plan_like(plan), original, LEFT), original)
    assert torch.equal(found[..., 4:], original[..., 4:])
    assert (found[..., :4] - original[..., :4]).abs().mean() > 0.1
    assert not torch.equal(found[..., :4], free[..., :4])  # what is painted sees what is kept


def plan_like(plan):
    """The same plan with its noise drawn anew."""
    return SamplingPlan(**{**vars(plan), "noise": Noise([1, 2], SHAPE)})


def test_text_to_image_keeps_it_too(samplers, wavy, original):
    plan = SamplingPlan(
        denoise=wavy[1], sampler=samplers["Euler"], sigmas=[9.0, 2.0, 0.0], noise=Noise([1, 2], SHAPE), on_step=ignore
    )
    assert torch.equal(text_to_image(masked(plan, original, LEFT))[..., 4:], original[..., 4:])


def test_estimates_are_blended_for_one_kind_of_sampler_and_inputs_for_the_other(original):
    """The input is blended with the original at the level of the call."""
    seen, noise = [], Noise([3, 4], SHAPE)()

    def denoise(x, sigma):
        seen.append(x)
        return x * 0 + 7.0

    blend, x = Blend(original=original, mask=LEFT), torch.full((2, *SHAPE), 5.0)
    after = MaskedAfter(denoise, blend)(x, 2.0)
    assert torch.equal(seen[-1], x)
    assert torch.equal(after[..., 4:], original[..., 4:])
    assert (after[..., :4] == 7.0).all()
    before = MaskedBefore(denoise, blend, noise)(x, 2.0)
    assert (before == 7.0).all()
    assert torch.equal(seen[-1][..., 4:], (original + 2.0 * noise)[..., 4:])
    assert (seen[-1][..., :4] == 5.0).all()


def test_both_estimates_are_blended(original):
    class Both:
        def apart(self, x, sigma, part):
            assert part == 0.5
            return x * 0 + 3.0, x * 0 + 1.0

    blend, x = Blend(original=original, mask=LEFT), torch.zeros(2, *SHAPE)
    guided, uncond = apart(MaskedAfter(Both(), blend), x, 2.0, 0.5)
    for found, value in ((guided, 3.0), (uncond, 1.0)):
        assert torch.equal(found[..., 4:], original[..., 4:])
        assert (found[..., :4] == value).all()
    assert (apart(MaskedBefore(Both(), blend, x), x, 2.0, 0.5)[1] == 1.0).all()


def test_which_kind_gets_which(original):
    """By whether the sampler has levels of its own."""
    for levels, expected in ((None, MaskedAfter), (lambda steps, table, last=None: [], MaskedBefore)):
        got = []
        sampler = Sampler(
            name="W", sample=lambda denoise, x, sigmas, on_step, got=got: got.append(denoise) or x, levels=levels
        )
        plan = SamplingPlan(
            denoise=lambda x, sigma: x, sampler=sampler, sigmas=[2.0, 0.0], noise=Noise([1, 2], SHAPE), on_step=ignore
        )
        image_to_image(masked(plan, original, LEFT), original)
        assert isinstance(got[0], expected)


# Soft masks --------------------------------------------------------------------------------------------------------


def test_a_soft_mask_paints_more_the_lower_the_level():
    soft, mask = SoftMask(power=1.0, scale=0.5), torch.tensor([0.0, 0.25, 1.0])
    assert soft.at(mask, 4.0).tolist() == pytest.approx([0.0, 0.0625, 1.0])
    assert soft.at(mask, 1.0).tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert soft.at(mask, 0.0).tolist() == [1.0, 1.0, 1.0]


def test_schedule_bias_and_preservation_strength():
    mask = torch.tensor([0.5])
    assert SoftMask(power=2.0, scale=1.0).at(mask, 3.0).item() == pytest.approx(0.5**9)
    assert SoftMask(power=0.0, scale=2.0).at(mask, 3.0).item() == pytest.approx(0.25)


@pytest.mark.parametrize("detail", [1.0, 4.0, 32.0])
def test_mixing_keeps_the_length(detail):
    """Two unrelated latents of one length: half of each is 0.7 as long, and is brought back."""
    kept, painted = torch.randn(2, 1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    kept, painted = (one / one.norm(dim=1, keepdim=True) for one in (kept, painted))
    half = torch.full((1, 1, 32, 32), 0.5)
    found = SoftMask(detail=detail).mixed(kept, painted, half)
    assert torch.allclose(found.norm(dim=1), torch.ones(1, 32, 32), atol=1e-4)
    assert (0.5 * kept + 0.5 * painted).norm(dim=1).mean() < 0.8


def test_more_detail_lets_the_longer_one_win():
    kept, painted = torch.ones(1, 4, 1, 1), torch.ones(1, 4, 1, 1) * 3
    lengths = [
        SoftMask(detail=detail).mixed(kept, painted, torch.full((1, 1, 1, 1), 0.5)).mean().item()
        for detail in (1.0, 4.0, 32.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] == pytest.approx(2.0)
    assert 2.9 < lengths[2] < 3.0


def test_the_ends_of_a_soft_mask_are_hard(original):
    soft = SoftMask()
    painted = original.roll(1, -1)
    found = Blend(original=original, mask=LEFT, soft=soft)(painted, 3.0)
    assert torch.allclose(found[..., 4:], original[..., 4:], atol=1e-5)
    assert torch.allclose(found[..., :4], painted[..., :4], atol=1e-5)


def test_nothing_is_no_division_by_zero():
    zero = torch.zeros(1, 4, 2, 2)
    assert torch.equal(SoftMask().mixed(zero, zero, torch.full((1, 1, 2, 2), 0.5)), zero)


def test_a_soft_mask_runs_through(samplers, schedules, table, wavy, original):
    ramp = torch.linspace(0, 1, 8).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    plan = SamplingPlan(
        denoise=wavy[1],
        sampler=samplers["DPM++ 2M"],
        sigmas=image_levels(samplers["DPM++ 2M"], "Karras", schedules, 8, table, 0.8, False),
        noise=Noise([1, 2], SHAPE),
        on_step=ignore,
    )
    found = image_to_image(masked(plan, original, ramp, SoftMask()), original)
    away = (found - original).abs().mean((0, 1, 2))
    assert away[0] < 1e-3  # at the very edge nothing is painted
    assert away[6:].mean() > 5 * away[:2].mean()
