"""The loss by itself: eq. 2, min-SNR on both halves, other measures, the ends of the noise levels."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from modules.core.errors import UnknownName
from modules.core.training import TrainingPlan
from modules.diffusion.denoiser import sigma_table, zero_terminal_snr
from modules.training.batch import Batch
from modules.training.objective import Levels, drawn, losses, noised, target_of, weights

PlanOf = Callable[..., TrainingPlan]
LEVELS = Levels.of(sigma_table())


def pair(rows: int) -> tuple[Tensor, Tensor]:
    """An answer and a target (rows, 4, 8, 8)."""
    chance = torch.Generator().manual_seed(1)
    return torch.randn(rows, 4, 8, 8, generator=chance), torch.randn(rows, 4, 8, 8, generator=chance)


def batch_of(rows: int, priors: int = 0) -> Batch:
    return Batch(latents=torch.zeros(rows, 4, 8, 8), text=torch.zeros(rows, 77, 8), priors=priors)


def one_each(rows: int) -> Tensor:
    return torch.ones(rows)


# Eq. 2 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [1.0, 0.3, 0.0])
def test_the_two_halves_have_means_of_their_own(part: float, plan_of: PlanOf) -> None:
    answer, target = pair(6)
    found = losses(answer, target, one_each(6), plan_of(prior_loss_weight=part), priors=3)
    instance, prior = mse_loss(answer[:3], target[:3]), mse_loss(answer[3:], target[3:])
    assert found.prior is not None
    torch.testing.assert_close((found.instance, found.prior), (instance, prior), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.total, instance + part * prior, rtol=1e-6, atol=0)


def test_without_class_pictures_there_is_no_prior_loss(plan_of: PlanOf) -> None:
    answer, target = pair(2)
    found = losses(answer, target, one_each(2), plan_of())
    assert found.prior is None
    assert found.total == found.instance == mse_loss(answer, target)


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_a_mean_over_the_mixed_batch_is_another_convention_and_half_of_it(part: float, plan_of: PlanOf) -> None:
    """training.md 3.2b: kohya weighs each row and takes one mean of all 2b; loss and gradient are half of eq. 2's."""
    answer, target = pair(4)
    ours, theirs = (answer.clone().requires_grad_() for _ in range(2))
    found = losses(ours, target, one_each(4), plan_of(prior_loss_weight=part), priors=2).total
    each = (theirs - target).square().mean((1, 2, 3)) * torch.tensor([1, 1, part, part])
    mixed = each.mean()
    gradients = torch.autograd.grad(found, ours)[0], torch.autograd.grad(mixed, theirs)[0]
    torch.testing.assert_close(2 * mixed, found, rtol=1e-6, atol=0)
    torch.testing.assert_close(2 * gradients[1], gradients[0], rtol=1e-6, atol=0)


def test_noise_loss_is_the_papers_loss_of_clean_latents_with_weights_of_the_signal_to_noise(plan_of: PlanOf) -> None:
    """training.md 3.2: w‖x̂ - x‖² + λ w'‖x̂pr - xpr‖² with w = α²/s², t and t' independent."""
    answer, noise = pair(2)
    clean, timesteps = torch.randn(2, 4, 8, 8), torch.tensor([700, 20])
    alpha, spread = (one[timesteps].view(-1, 1, 1, 1) for one in (LEVELS.alpha, LEVELS.spread))
    estimate = (noised(LEVELS, clean, noise, timesteps) - spread * answer) / alpha
    each = ((alpha / spread) ** 2 * (estimate - clean).square()).mean((1, 2, 3))
    found = losses(answer, noise, one_each(2), plan_of(prior_loss_weight=0.7), priors=1).total
    torch.testing.assert_close(found, each[0] + 0.7 * each[1], rtol=1e-5, atol=0)


# Min-SNR --------------------------------------------------------------------------------------------------------------


def upstream_weights(timesteps: Tensor, gamma: float) -> Tensor:
    """As `train_dreambooth.py` has it: over the timesteps of both halves, whatever the half."""
    snr = LEVELS.snr[timesteps]
    return torch.stack([snr, gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0] / snr


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weights_each_row_by_its_own_timestep(prediction: str, plan_of: PlanOf) -> None:
    answer, target = pair(2)
    timesteps = torch.tensor([40, 900])  # signal-to-noise far above and far below 5
    each = weights(prediction, LEVELS, timesteps, 5.0)
    snr = [float(LEVELS.snr[t]) for t in timesteps]
    by_hand = [min(one, 5.0) / (one + (prediction != "epsilon")) for one in snr]
    assert each.tolist() == pytest.approx(by_hand, rel=1e-6)
    found = losses(answer, target, each, plan_of(prior_loss_weight=1.0), priors=1)
    mse = (answer - target).square().mean((1, 2, 3)).tolist()
    assert float(found.total) == pytest.approx(by_hand[0] * mse[0] + by_hand[1] * mse[1], rel=1e-6)


def test_upstreams_way_leaks_the_class_pictures_timestep_into_the_other_half(plan_of: PlanOf) -> None:
    """training.md 0.5: at batch 1 with class pictures `train_dreambooth.py` weighs the instance loss by both timesteps."""
    answer, target = pair(2)
    timesteps = torch.tensor([40, 900])
    mse = (answer - target).square().mean((1, 2, 3))
    leaking = (mse[:1] * upstream_weights(timesteps, 5.0)).mean() + mse[1]
    ours = losses(answer, target, weights("epsilon", LEVELS, timesteps, 5.0), plan_of(), priors=1).total
    assert abs(float(leaking) - float(ours)) > 0.1
    with pytest.raises(RuntimeError):  # and at batch 2 the shapes do not even fit
        _ = mse_loss(*pair(3), reduction="none").mean((1, 2, 3)) * upstream_weights(torch.arange(1, 7), 5.0)


def test_gamma_0_weighs_nothing() -> None:
    assert weights("epsilon", LEVELS, torch.tensor([0, 999]), 0.0).tolist() == [1.0, 1.0]


# The ends of the levels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["stand-in", "infinite"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_zero_terminal_signal_to_noise_is_pure_noise_and_finite(last: str, prediction: str, plan_of: PlanOf) -> None:
    table = zero_terminal_snr(sigma_table())
    levels = Levels.of(table if last == "stand-in" else (*table[:-1], math.inf))
    clean, noise = pair(1)
    timestep = torch.tensor([999])
    x = noised(levels, clean, noise, timestep)
    torch.testing.assert_close(x, noise, atol=2e-3, rtol=0)
    target = target_of(prediction, levels, clean, noise, timestep)
    torch.testing.assert_close(target, noise if prediction == "epsilon" else -clean, atol=2e-3, rtol=0)
    each = weights(prediction, levels, timestep, 5.0)
    assert float(each) == pytest.approx(1.0 if prediction == "epsilon" else 0.0, abs=1e-6)
    assert losses(x, target, each, plan_of()).total.isfinite()


def test_no_noise_at_all_is_no_division_by_it() -> None:
    levels = Levels.of((0.0, 1.0))
    assert (levels.alpha[0], levels.spread[0]) == (1.0, 0.0)
    assert float(weights("epsilon", levels, torch.tensor([0]), 5.0)) == 0.0
    assert float(weights("v_prediction", levels, torch.tensor([0]), 5.0)) == 0.0


def test_an_unknown_kind_of_prediction() -> None:
    with pytest.raises(UnknownName, match="sample"):
        target_of("sample", LEVELS, *pair(1), torch.tensor([1]))


# Measures and draws ---------------------------------------------------------------------------------------------------


def test_measures(plan_of: PlanOf) -> None:
    answer, target = pair(3)
    found = {
        kind: float(losses(answer, target, one_each(3), plan_of(loss=kind)).total) for kind in ("l1", "l2", "huber")
    }
    assert found["l2"] == pytest.approx(float(mse_loss(answer, target)))
    assert found["l1"] == pytest.approx(float(l1_loss(answer, target)))
    small = losses(target + 1e-3, target, one_each(3), plan_of(loss="huber")).total
    assert float(small) == pytest.approx(1e-6, rel=0.01)  # the square
    large = losses(target + 100, target, one_each(3), plan_of(loss="huber")).total
    assert float(large) == pytest.approx(20, rel=0.01)  # 2 · 0.1 · 100


def test_losses_are_float32_whatever_the_networks_compute_in(plan_of: PlanOf) -> None:
    answer, target = pair(2)
    assert losses(answer.bfloat16(), target, one_each(2), plan_of()).total.dtype == torch.float32


def test_what_is_drawn_follows_from_step_and_place(plan_of: PlanOf) -> None:
    plan = plan_of()
    noise, timesteps = drawn(plan, batch_of(4), 7, range(4), LEVELS)
    for place in range(4):
        alone = drawn(plan, batch_of(1), 7, [place], LEVELS)
        assert torch.equal(alone[0][0], noise[place])
        assert alone[1][0] == timesteps[place]
    assert not torch.equal(drawn(plan, batch_of(1), 8, [0], LEVELS)[0][0], noise[0])
    assert (abs(float(noise.mean())), float(noise.std())) == (pytest.approx(0, abs=0.1), pytest.approx(1, abs=0.1))


def test_a_class_picture_has_noise_and_time_of_its_own(plan_of: PlanOf) -> None:
    noise, timesteps = drawn(plan_of(), batch_of(4, priors=2), 0, range(2), LEVELS)
    assert not torch.equal(noise[0], noise[2])
    assert len(set(timesteps.tolist())) == 4
    alone = drawn(plan_of(), batch_of(2), 0, range(2), LEVELS)
    assert torch.equal(alone[0], noise[:2])  # the subject's draws do not depend on there being class pictures


def test_a_batch_may_hold_fewer_pictures_than_the_plan_says(plan_of: PlanOf) -> None:
    noise, timesteps = drawn(plan_of(), batch_of(2, priors=1), 0, range(4), LEVELS)
    whole = drawn(plan_of(), batch_of(8, priors=4), 0, range(4), LEVELS)
    assert torch.equal(noise, whole[0][[0, 4]])
    assert torch.equal(timesteps, whole[1][[0, 4]])


def test_timesteps_are_uniform_over_all_levels(plan_of: PlanOf) -> None:
    few = Levels.of(sigma_table()[:8])
    timesteps = torch.cat([drawn(plan_of(), batch_of(8), step, range(8), few)[1] for step in range(100)])
    counts = timesteps.bincount(minlength=8)
    assert len(counts) == 8
    assert counts.min() > 60 and counts.max() < 140  # noqa: PT018


def test_a_noise_offset_moves_whole_channels(plan_of: PlanOf) -> None:
    plain, _ = drawn(plan_of(), batch_of(2), 0, range(2), LEVELS)
    moved, _ = drawn(plan_of(noise_offset=0.5), batch_of(2), 0, range(2), LEVELS)
    difference = moved - plain
    assert float(difference.flatten(2).std(-1).max()) < 1e-6
    assert float(difference.std()) == pytest.approx(0.5, rel=0.6)


def test_huber_is_not_l2(plan_of: PlanOf) -> None:
    answer, target = pair(1)
    values: dict[str, Any] = {
        kind: losses(answer, target, one_each(1), plan_of(loss=kind)).total for kind in ("l2", "huber")
    }
    assert values["huber"] < values["l2"]
