"""Low-rank layers: their arithmetic against peft's, their numbers, their weights in the model's own."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from modules.core.training import TrainingPlan
from modules.families.built import Built
from modules.training.chance import generator
from modules.training.layers import LowRank, attached, layers_named, low_rank, merged
from modules.training.methods.lora import targets
from tests.training.learning import METHODS, answer, state_of, taught

LAYERS: dict[str, tuple[nn.Linear | nn.Conv2d, tuple[int, ...]]] = {
    "linear": (nn.Linear(6, 5), (2, 3, 6)),
    "linear without bias": (nn.Linear(6, 5, bias=False), (2, 6)),
    "1x1": (nn.Conv2d(4, 6, 1), (2, 4, 5, 5)),
    "3x3": (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 5, 5)),
    "3x3 in steps of two": (nn.Conv2d(4, 6, 3, padding=1, stride=2), (2, 4, 8, 8)),
}


def drawn(layer: nn.Linear | nn.Conv2d, rank: int = 3, alpha: float = 5.0) -> LowRank:
    """One that adds something."""
    one = low_rank(layer, rank, alpha, generator(1, 2))
    one.up.data = torch.randn(one.up.shape, generator=generator(1, 3))
    return one


@pytest.fixture(params=LAYERS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Linear | nn.Conv2d, torch.Tensor]:
    layer, shape = LAYERS[request.param]
    return copy.deepcopy(layer).requires_grad_(False), torch.randn(shape, generator=generator(1))


def test_the_arithmetic_is_pefts(case: tuple[Any, torch.Tensor]) -> None:
    """Output and gradients, with alpha other than the rank; another alpha is not the same."""
    layer, x = case
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["0"])
    theirs = get_peft_model(nn.Sequential(copy.deepcopy(layer)), config)
    inner: Any = theirs.base_model.model[0]
    one = drawn(layer)
    inner.lora_A["default"].weight.data = one.down.detach().clone()
    inner.lora_B["default"].weight.data = one.up.detach().clone()
    with attached({"one": one}):
        ours = layer(x)
    expected = theirs(x)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    for answer_ in (ours, expected):
        answer_.square().sum().backward()
    torch.testing.assert_close(one.down.grad, inner.lora_A["default"].weight.grad, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(one.up.grad, inner.lora_B["default"].weight.grad, atol=1e-4, rtol=1e-5)
    one.alpha = 3.0
    with attached({"one": one}):
        assert not torch.allclose(layer(x), expected, atol=1e-3)


def test_in_the_weight_it_is_the_same(case: tuple[Any, torch.Tensor]) -> None:
    layer, x = case
    one, weight, own = drawn(layer), layer.weight, layer(x)
    with attached({"one": one}):
        beside = layer(x)
        with merged({"one": one}):
            assert layer.weight is not weight
            torch.testing.assert_close(layer(x), beside, atol=1e-5, rtol=1e-5)
        assert layer.weight is weight
        torch.testing.assert_close(layer(x), beside, atol=0, rtol=0)
    assert torch.equal(layer(x), own)


def test_it_begins_with_nothing_and_torchs_own_draw(case: tuple[Any, torch.Tensor]) -> None:
    """A is uniform within 1/√(inputs), which is kaiming with a = √5; B is 0; the same generator draws the same."""
    layer, x = case
    one = low_rank(layer, 64, 64.0, generator(7))
    inputs = math.prod(layer.weight.shape[1:])
    assert float(one.down.detach().abs().max()) <= 1 / math.sqrt(inputs)
    assert float(one.down.detach().std()) == pytest.approx(1 / math.sqrt(3 * inputs), rel=0.15)
    assert not one.up.any()
    assert torch.equal(one.down, low_rank(layer, 64, 64.0, generator(7)).down)
    own = layer(x)
    with attached({"one": one}):
        assert torch.equal(layer(x), own)


@pytest.mark.parametrize("number", [torch.bfloat16, torch.float16])
def test_beside_weights_in_half_precision_it_stays_in_32_bits(case: tuple[Any, torch.Tensor], number: Any) -> None:
    layer, x = case
    layer = layer.to(number)
    own = layer(x.to(number))
    assert low_rank(layer, 3, 3.0, generator(1)).down.dtype == torch.float32
    one = drawn(layer)
    with attached({"one": low_rank(layer, 3, 3.0, generator(1))}):
        assert torch.equal(layer(x.to(number)), own)
    with attached({"one": one}):
        found = layer(x.to(number))
    assert found.dtype == number
    exact = own.float() + one.added(x.to(number))
    torch.testing.assert_close(found.float(), exact, atol=0.02, rtol=0.02)
    found.float().sum().backward()
    assert one.down.grad is not None
    assert one.down.grad.dtype == torch.float32


def test_autocast_chooses_the_numbers(case: tuple[Any, torch.Tensor]) -> None:
    layer, x = case
    one = drawn(layer)
    with attached({"one": one}):
        exact = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, atol=0.2, rtol=0.05)


def test_a_strange_convolution_is_refused() -> None:
    for layer in (nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, padding="same")):
        one = low_rank(layer, 2, 2.0, generator(1))
        with attached({"one": one}), pytest.raises(ValueError, match="no low-rank layer is known"):
            layer(torch.zeros(1, 4, 5, 5))


# Which layers ---------------------------------------------------------------------------------------------------------


def names(model: Built, plan: TrainingPlan) -> list[str]:
    return [name for name, _ in targets(model, plan)]


def test_attention_is_the_usual_target(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    found = names(tiny(), plan_of(method="lora"))
    assert {name.rpartition("attn")[2][2:] for name in found} == {"to_q", "to_k", "to_v", "to_out.0"}
    # two blocks with attention down to up: one, one in the middle, two; self and cross attention with four each
    assert len(found) == 4 * 2 * 4
    assert all(name.startswith("unet.") for name in found)


def test_wider_targets(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    model = tiny()
    narrow = set(names(model, plan_of(method="lora")))
    middle = set(names(model, plan_of(method="lora", targets="attention and feed-forward")))
    wide = set(names(model, plan_of(method="lora", targets="all linear and convolution")))
    ends = ("ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
    assert {name for name in middle - narrow if not name.endswith(ends)} == set()
    assert len(middle - narrow) == 4 * 4
    assert narrow < middle < wide
    every = {f"unet.{name}" for name, one in model.unet.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)}
    outside = ("conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2")
    assert every - wide == {f"unet.{name}" for name in outside}
    assert {"unet.down_blocks.0.downsamplers.0.conv", "unet.mid_block.resnets.0.conv1"} < wide


def test_text_encoders_only_on_request(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    for family, parts in (("sd1", {"text_encoder"}), ("sdxl", {"text_encoder", "text_encoder_2"})):
        found = names(tiny(family), plan_of(method="lora", train_text_encoder=True))
        text = [name for name in found if not name.startswith("unet.")]
        assert {name.partition(".")[0] for name in text} == parts
        assert {name.rpartition(".")[2] for name in text} == {"q_proj", "k_proj", "v_proj", "out_proj"}
        assert not any("text_model" in name for name in text)
        wide = names(
            tiny(family), plan_of(method="lora", train_text_encoder=True, targets="all linear and convolution")
        )
        more = {name for name in set(wide) - set(text) if not name.startswith("unet.")}
        assert {name.rpartition(".")[2] for name in more} == {"fc1", "fc2"}


def test_names_end_at_a_dot() -> None:
    network = nn.ModuleDict({"into_q": nn.Linear(1, 1), "to_q": nn.Linear(1, 1), "norm": nn.LayerNorm(1)})
    assert [name for name, _ in layers_named(network, ("to_q",))] == ["to_q"]
    assert [name for name, _ in layers_named(network, None)] == ["into_q", "to_q"]


# A whole model --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> Iterator[tuple[Built, Any]]:
    """A model with convolutions and text encoder taught, alpha other than the rank."""
    model = tiny()
    plan = plan_of(method="lora", rank=3, alpha=5, train_text_encoder=True, targets="all linear and convolution")
    with taught(model, plan) as learner:
        yield model, learner


def test_in_the_models_weights_it_draws_the_same(learned: tuple[Built, Any]) -> None:
    """training.md 3.4e: W + (α/r) B A everywhere is the LoRA at weight 1."""
    model, learner = learned
    beside, state = answer(model), state_of(model)
    with learner.merged():
        inside = answer(model)
    torch.testing.assert_close(inside, beside, atol=1e-4, rtol=0)
    assert state_of(model) == state
    assert torch.equal(answer(model), beside)


def test_an_error_while_it_is_written_restores_the_weights(learned: tuple[Built, Any]) -> None:
    model, learner = learned
    beside, state = answer(model), state_of(model)

    def fail() -> None:
        with learner.merged():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state_of(model) == state
    assert torch.equal(answer(model), beside)


def test_the_rank_decides_how_many_numbers_learn(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    def count(rank: int) -> int:
        with METHODS["lora"].prepare(tiny(), plan_of(method="lora", rank=rank)) as learner:
            return sum(one.numel() for one in learner.named.values())

    assert count(8) == 4 * count(2)
