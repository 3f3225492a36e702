"""What holds for every way to teach a model: it begins at the model, repeats itself, and leaves nothing behind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from modules.core.plugins import Plugins
from modules.core.training import FORMATS, TrainingPlan
from modules.core.training_fields import METHODS as NAMES
from modules.families.built import Built
from tests.training.learning import CAPTION, METHODS, answer, bits, learn, predicted, state_of, taught

PLANS: dict[str, dict[str, Any]] = {
    "dreambooth": {"method": "dreambooth", "train_text_encoder": True},
    "lora": {"method": "lora", "train_text_encoder": True, "targets": "all linear and convolution"},
    "textual inversion": {"method": "textual_inversion"},
    "custom diffusion": {"method": "custom_diffusion"},
}


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest, plan_of: Callable[..., TrainingPlan]) -> TrainingPlan:
    return plan_of(**PLANS[request.param])


def test_they_come_through_the_door() -> None:
    plugins = Plugins("engine")
    plugins.add_package("modules.training.methods")
    found = {one.name: one for one in plugins.collect("register_training_methods").values()}
    assert set(found) == set(NAMES)
    for one in found.values():
        assert one.label
        assert one.note
        assert one.formats
        assert set(one.formats) <= set(FORMATS)
        assert one.learning_rate > 0
    assert {name for name, one in found.items() if one.whole} == {"dreambooth", "custom_diffusion"}
    assert found["lora"].formats[0] == "kohya"


def test_the_first_answer_is_the_models_own(plan: TrainingPlan, fresh: Callable[..., Built]) -> None:
    model = fresh()
    before = answer(model)
    with METHODS[plan.method].prepare(model, plan):
        assert torch.equal(answer(model), before)


def test_what_learns_is_named_grouped_and_gets_gradients(plan: TrainingPlan, fresh: Callable[..., Built]) -> None:
    model = fresh()
    with METHODS[plan.method].prepare(model, plan) as learner:
        grouped = [one for group in learner.groups for one in group.parameters]
        assert [id(one) for one in grouped] == [id(one) for one in learner.named.values()]
        assert all(one.requires_grad and one.dtype == torch.float32 for one in grouped)
        learning = {id(one) for one in grouped}
        others = (one for network in model.networks.values() for one in network.parameters())
        assert not any(one.requires_grad for one in others if id(one) not in learning)
        caption = plan.name if learner.vectors else CAPTION
        predicted(model, caption, learner.vectors, learner.reads).square().mean().backward()
        assert sum(one.grad is not None for one in grouped) == len(grouped)
        assert learner.reads == (plan.train_text_encoder or bool(learner.vectors))


def test_the_model_is_what_it_was_afterwards(plan: TrainingPlan, fresh: Callable[..., Built]) -> None:
    """Hooks, flags, modes and, unless it is what learns, every weight; also when the body raises."""
    model = fresh()
    first = answer(model)  # transformers hangs hooks of its own on its layers at the first call
    before = state_of(model)

    def fail() -> None:
        with taught(model, plan, steps=1):
            assert not torch.equal(answer(model), first) or plan.method == "textual_inversion"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    after = state_of(model)
    if not METHODS[plan.method].whole:
        assert after == before
        assert torch.equal(answer(model), first)
    assert {name: one[:-1] for name, one in after.items()} == {name: one[:-1] for name, one in before.items()}


def test_unusual_flags_come_back(fresh: Callable[..., Built], plan_of: Callable[..., TrainingPlan]) -> None:
    model = fresh()
    model.unet.train()
    model.unet.conv_in.requires_grad_(True)
    model.unet.mid_block.eval()
    before = state_of(model)
    with METHODS["lora"].prepare(model, plan_of(method="lora", gradient_checkpointing=True)):
        assert model.unet.is_gradient_checkpointing
        assert not any(module.training for module in model.unet.modules())
    assert state_of(model) == before


def test_the_same_plan_begins_the_same(plan: TrainingPlan, tiny: Any) -> None:
    def begun() -> dict[str, bytes]:
        with METHODS[plan.method].prepare(tiny(), plan) as learner:
            return {name: bits(one) for name, one in learner.named.items()}

    torch.manual_seed(1)
    first = begun()
    torch.manual_seed(2)
    assert begun() == first


def test_another_seed_begins_a_lora_elsewhere(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    def downs(**known: Any) -> dict[str, bytes]:
        with METHODS["lora"].prepare(tiny(), plan_of(method="lora", **known)) as learner:
            return {name: bits(one) for name, one in learner.named.items() if name.endswith(".down")}

    first = downs()
    assert not set(first.values()) & set(downs(seed=6).values())
    assert len(set(first.values())) == len(first), "each layer draws its own"
    wider = downs(targets="attention and feed-forward", train_text_encoder=True)
    assert {name: wider[name] for name in first} == first, "a layer begins alike whatever else learns"


def test_memory_is_saved_without_another_result(fresh: Callable[..., Built], plan_of: Any) -> None:
    """Gradient checkpointing repeats a part of the arithmetic, and changes none of it."""

    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        plan = plan_of(method="lora", train_text_encoder=True, gradient_checkpointing=checkpointing)
        model = fresh()
        with METHODS["lora"].prepare(model, plan) as learner:
            learn(model, learner, steps=1)
            return {name: one.grad.clone() for name, one in learner.named.items() if one.grad is not None}

    plain, saved = gradients(False), gradients(True)
    assert saved.keys() == plain.keys()
    for name, one in plain.items():
        torch.testing.assert_close(saved[name], one, rtol=1e-5, atol=1e-7)


def test_learning_rates_of_the_groups(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    def rates(**known: Any) -> dict[str, tuple[float, float]]:
        plan = plan_of(train_text_encoder=True, **known)
        with METHODS[plan.method].prepare(tiny(), plan) as learner:
            return {group.name: (group.learning_rate, group.stop) for group in learner.groups}

    assert rates(method="lora", stop_text_encoder=0.75) == {"unet": (1e-4, 1.0), "text_encoder": (5e-5, 0.75)}
    assert rates(method="lora", learning_rate=3e-4, text_encoder_lr=0.0)["text_encoder"] == (1.5e-4, 1.0)
    assert rates(method="dreambooth", learning_rate=0.0, text_encoder_lr=0.0) == {
        "unet": (2e-6, 1.0),
        "text_encoder": (1e-6, 1.0),
    }
    assert rates(method="textual_inversion", learning_rate=0.0) == {"embedding": (5e-3, 1.0)}


def test_a_whole_model_in_half_precision_is_refused(fresh: Callable[..., Built], plan_of: Any) -> None:
    model = fresh()
    model.unet.half()
    with (
        pytest.raises(AssertionError, match="must be held in 32 bits"),
        METHODS["dreambooth"].prepare(model, plan_of()),
    ):
        pass


def test_which_parameters_of_dreambooth_learn(fresh: Callable[..., Built], plan_of: Any) -> None:
    model = fresh("sdxl")
    unet = {f"unet.{name}" for name, _ in model.unet.named_parameters()}
    with METHODS["dreambooth"].prepare(model, plan_of()) as learner:
        assert set(learner.named) == unet
    with METHODS["dreambooth"].prepare(model, plan_of(train_text_encoder=True)) as learner:
        assert set(learner.named) > unet
        parts = {name.partition(".")[0] for name in learner.named}
    assert parts == {"unet", "text_encoder", "text_encoder_2"}


def test_a_model_made_in_inference_mode_can_still_be_taught_beside(plan_of: Any, fresh: Callable[..., Built]) -> None:
    """A job may begin in torch's inference mode; what learns is then made outside of it."""
    with torch.inference_mode():
        context = METHODS["lora"].prepare(fresh(), plan_of(method="lora"))
        with context as learner:
            assert not any(one.is_inference() for one in learner.named.values())


def test_a_lora_learns_in_32_bits_beside_half_the_numbers(fresh: Callable[..., Built], plan_of: Any) -> None:
    model = fresh()
    model.unet.to(torch.bfloat16)
    model.dtype = torch.bfloat16
    before = answer(model)
    with METHODS["lora"].prepare(model, plan_of(method="lora")) as learner:
        assert torch.equal(answer(model), before)
        assert {one.dtype for one in learner.named.values()} == {torch.float32}
        learn(model, learner, steps=1)
        assert not torch.equal(answer(model), before)
        (one,) = learner.export("kohya", torch.float16)
        assert {tensor.dtype for tensor in one.tensors.values()} == {torch.float16, torch.float32}
    assert torch.equal(answer(model), before)
