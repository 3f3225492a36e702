"""The average of the weights: diffusers' to the last digit, and swapped in without a trace."""

from collections.abc import Callable

import pytest
import torch
from diffusers.training_utils import EMAModel

from modules.core.training import TrainingPlan
from modules.training.ema import Average
from modules.training.loop import begin, train
from tests.training.one_weight import OneWeight


def parameters() -> dict[str, torch.nn.Parameter]:
    chance = torch.Generator().manual_seed(0)
    return {name: torch.nn.Parameter(torch.randn(3, 2, generator=chance)) for name in "ab"}


@pytest.mark.parametrize("decay", [0.9999, 0.5])
def test_it_is_that_of_diffusers(decay: float) -> None:
    named = parameters()
    ours, theirs = Average(named, decay), EMAModel(named.values(), decay=decay)
    for _ in range(20):
        with torch.no_grad():
            for one in named.values():
                one.add_(0.1)
        ours.update(named)
        theirs.step(named.values())
    for mine, other in zip(ours.weights.values(), theirs.shadow_params, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)


def test_the_averaged_weights_are_there_inside_the_block_only() -> None:
    named = parameters()
    average = Average(named, 0.9)
    with torch.no_grad():
        named["a"].zero_()
    own, address = named["b"].detach().clone(), named["a"].data_ptr()

    def fails() -> None:
        with average.instead_of(named):
            assert named["a"].abs().sum() > 0
            assert named["a"].data_ptr() == address
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert named["a"].abs().sum() == 0
    assert torch.equal(named["b"], own)


def test_the_loop_keeps_one_when_asked(plan_of: Callable[..., TrainingPlan]) -> None:
    for use in (False, True):
        model, plan = OneWeight(), plan_of(max_train_steps=5, use_ema=use, learning_rate=0.1)
        position = begin(model.learner, plan, model.device)
        train(model, model.learner, plan, model, position, lambda *_: None)
        last = model.unet.weight.item()
        with position.ema_weights():
            assert (model.unet.weight.item() != last) == use
        assert model.unet.weight.item() == last


def test_half_precision_weights_are_averaged_in_float32() -> None:
    named = {"a": torch.nn.Parameter(torch.ones(2, dtype=torch.float16))}
    average = Average(named, 0.9999)
    average.update(named)
    assert average.weights["a"].dtype == torch.float32
    with average.instead_of(named):
        assert named["a"].dtype == torch.float16
