"""What the loop does around a step: modes, gradients, groups that rest, accumulation, stopping, numbers that are none."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from modules.core.errors import Cancelled, NotFinite, NothingLearns
from modules.core.training import TrainingNumbers, TrainingPlan
from modules.families.built import Built
from modules.training.devices import computing_in, number_for
from modules.training.learner import Learner, ParameterGroup
from modules.training.loop import Position, begin, train
from tests.training.one_weight import OneWeight

PlanOf = Callable[..., TrainingPlan]
CPU = torch.device("cpu")


def weights_of(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in learner.named.items()}


def run(model: Any, learner: Learner, plan: TrainingPlan, batches: Any, on_step: Any = None) -> list[TrainingNumbers]:
    told: list[TrainingNumbers] = []

    def hear(numbers: TrainingNumbers, position: Position) -> object:
        told.append(numbers)
        return on_step(numbers, position) if on_step else None

    train(model, learner, plan, batches, begin(learner, plan, CPU), hear)
    return told


# Numbers --------------------------------------------------------------------------------------------------------------


def test_every_step_is_told(plan_of: PlanOf) -> None:
    model, plan = OneWeight(), plan_of(max_train_steps=3)
    told = run(model, model.learner, plan, model)
    assert [(one.step, one.steps, one.epoch) for one in told] == [(1, 3, 1.0), (2, 3, 2.0), (3, 3, 3.0)]
    assert all(one.loss == one.instance_loss and one.prior_loss is None for one in told)
    assert all(one.learning_rate == 1e-3 and one.grad_norm > 0 and one.memory > 1e6 for one in told)


def test_time_in_previews_is_not_counted(plan_of: PlanOf) -> None:
    model, plan = OneWeight(), plan_of(max_train_steps=3)
    began = time.monotonic()
    told = run(model, model.learner, plan, model, on_step=lambda *_: time.sleep(0.1))
    assert time.monotonic() - began >= 0.3
    assert 0 < told[0].seconds < told[-1].seconds < time.monotonic() - began - 0.3


def test_the_loss_falls(fresh: Callable[..., Built], plan_of: PlanOf, learner_of: Any, batches_of: Any) -> None:
    """Six steps with the same draw each time: what the objective says is what the optimizer makes smaller."""
    model, plan = fresh(), plan_of(max_train_steps=6, learning_rate=1e-3)
    batches = batches_of(plan)
    first = batches.batch(0)
    batches.batch = lambda *_: first
    told = run(model, learner_of(model, plan), plan, batches)
    assert min(one.loss for one in told[-3:]) < told[0].loss


# What comes back ------------------------------------------------------------------------------------------------------


def state_of(model: Built) -> list[Any]:
    modules = [module for network in model.networks.values() for module in network.modules()]
    flags = [getattr(module, "gradient_checkpointing", None) for module in modules]
    parameters = [one for network in model.networks.values() for one in network.parameters()]
    return [flags, [module.training for module in modules], [(one.requires_grad, one.grad) for one in parameters]]


@pytest.mark.parametrize("fails", [False, True])
def test_modes_gradients_and_checkpointing_come_back(
    fails: bool, fresh: Callable[..., Built], plan_of: PlanOf, learner_of: Any, batches_of: Any
) -> None:
    model, plan = fresh(), plan_of(max_train_steps=1, gradient_checkpointing=True)
    before, learner, inside = state_of(model), learner_of(model, plan), []

    def look(*_: object) -> None:
        inside.append((model.unet.training, model.vae.training, model.unet.is_gradient_checkpointing))
        inside.append({one.requires_grad for one in model.vae.parameters()})
        inside.append({one.requires_grad for one in model.unet.parameters()})
        if fails:
            raise Cancelled("stop")

    if fails:
        with pytest.raises(Cancelled):
            run(model, learner, plan, batches_of(plan), look)
    else:
        run(model, learner, plan, batches_of(plan), look)
    assert inside == [(True, False, True), {False}, {True}]
    assert state_of(model) == before


def test_checkpointing_changes_no_weight(
    fresh: Callable[..., Built], plan_of: PlanOf, learner_of: Any, batches_of: Any
) -> None:
    results = []
    for checkpointing in (False, True):
        model = fresh()
        plan = plan_of(max_train_steps=1, gradient_checkpointing=checkpointing)
        learner = learner_of(model, plan)
        run(model, learner, plan, batches_of(plan))
        results.append(weights_of(learner))
    assert all(torch.equal(one, other) for one, other in zip(*(each.values() for each in results), strict=True))


# Batches --------------------------------------------------------------------------------------------------------------


def test_accumulated_batches_are_one_large_one(
    fresh: Callable[..., Built], plan_of: PlanOf, learner_of: Any, batches_of: Any
) -> None:
    """Losses, gradients and the order of chance are those of the large batch: only sums are in another order."""
    results = []
    for batch, accumulated in ((4, 1), (1, 4)):
        plan = plan_of(
            max_train_steps=1,
            train_batch_size=batch,
            gradient_accumulation_steps=accumulated,
            with_prior_preservation=True,
            optimizer="SGD",
            learning_rate=1.0,
        )
        model = fresh()
        learner = learner_of(model, plan)
        numbers = run(model, learner, plan, batches_of(plan))[0]
        results.append((numbers, weights_of(learner)))
    (one, large), (other, small) = results
    assert (one.loss, one.prior_loss) == pytest.approx((other.loss, other.prior_loss), rel=1e-5)
    assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-5)
    for name, weight in large.items():
        torch.testing.assert_close(small[name], weight, rtol=1e-4, atol=1e-5)


# Groups ---------------------------------------------------------------------------------------------------------------


class TwoWeights(OneWeight):
    """With a second number, learnt for the first half of the steps."""

    def __init__(self, stop: float = 0.5, useful: bool = True) -> None:
        super().__init__()
        self.other = torch.nn.Parameter(torch.tensor(1.0))
        self.unet.other, self.useful = self.other, useful
        groups = (
            *self.learner.groups,
            ParameterGroup(name="text_encoder", parameters=[self.other], learning_rate=1e-2, stop=stop),
        )
        named = {"weight": self.unet.weight, "other": self.other}
        self.learner = Learner(groups=groups, named=named, export=lambda format, number: [])

    def predict(self, x: Any, timestep: Any, text: Any, vector: Any = None, concat: Any = None) -> Any:
        return super().predict(x, timestep, text) * (self.other if self.useful else 1)


def test_a_group_learns_at_its_own_rate_and_rests_after_its_part(plan_of: PlanOf) -> None:
    model, seen = TwoWeights(), []
    run(
        model,
        model.learner,
        plan_of(max_train_steps=4, adam_weight_decay=0.5),
        model,
        lambda *_: seen.append((model.unet.weight.item(), model.other.item())),
    )
    weights, others = zip(*seen, strict=True)
    assert len(set(weights)) == 4
    assert len({1.0, *others}) == 3  # two steps; then neither update nor decay
    assert others[1] == others[2] == others[3]
    assert abs(others[0] - 1.0) > 5 * abs(weights[0] - 0.5)


def test_a_group_that_never_learns_is_no_fault(plan_of: PlanOf) -> None:
    model = TwoWeights(stop=0.0)
    run(model, model.learner, plan_of(max_train_steps=2), model)
    assert model.other.item() == 1.0


def test_a_group_without_gradient_is_named_before_anything_changes(plan_of: PlanOf) -> None:
    model = TwoWeights(stop=1.0, useful=False)
    with pytest.raises(NothingLearns, match="reaches text encoder"):
        run(model, model.learner, plan_of(), model)
    assert model.unet.weight.item() == 0.5
    with pytest.raises(NothingLearns):  # a caption that is left out may hide it for a while, but not for ever
        run(model, model.learner, plan_of(max_train_steps=30, caption_dropout_rate=0.5), model)
    assert model.unet.weight.item() != 0.5


# Ends -----------------------------------------------------------------------------------------------------------------


def test_on_step_can_end_it(plan_of: PlanOf) -> None:
    model = OneWeight()
    told = run(model, model.learner, plan_of(), model, lambda numbers, _: numbers.step == 2)
    assert len(told) == 2


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched(factor: float, plan_of: PlanOf) -> None:
    model, kept = OneWeight(), []

    def spoil(*_: object) -> None:
        kept.append(model.unet.weight.item())
        model.unet.factor = factor

    with pytest.raises(NotFinite, match=r"loss .* step 2, .* Lower the learning rate"):
        run(model, model.learner, plan_of(), model, spoil)
    assert model.unet.weight.item() == kept[0]


def test_a_gradient_that_is_no_number_stops_too(plan_of: PlanOf) -> None:
    model = OneWeight()
    model.unet.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NotFinite, match="gradient"):
        run(model, model.learner, plan_of(), model)
    assert model.unet.weight.item() == 0.5


# Precision ------------------------------------------------------------------------------------------------------------


def test_bf16_computes_in_bf16_and_learns_in_float32(
    fresh: Callable[..., Built], plan_of: PlanOf, learner_of: Any, batches_of: Any
) -> None:
    model, seen = fresh(), []
    model.unet.conv_out.register_forward_hook(lambda _, __, answer: seen.append(answer.dtype))
    losses = {}
    for precision in ("bf16", "no"):
        plan = plan_of(max_train_steps=1, mixed_precision=precision, learning_rate=1e-12)
        learner = learner_of(model, plan)
        losses[precision] = run(model, learner, plan, batches_of(plan))[0].loss
        assert {one.dtype for one in learner.named.values()} == {torch.float32}
    assert seen == [torch.bfloat16, torch.float32]
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.02)
    assert losses["bf16"] != losses["no"]


def test_precision_by_device(plan_of: PlanOf) -> None:
    assert number_for(plan_of(mixed_precision="auto"), CPU) is None
    assert number_for(plan_of(mixed_precision="bf16"), CPU) == torch.bfloat16
    with pytest.raises(Exception, match="fp16 needs a CUDA GPU"):
        number_for(plan_of(mixed_precision="fp16"), CPU)
    with computing_in(None, CPU):
        assert not torch.is_autocast_enabled("cpu")


def test_the_unet_computes_in_channels_last(tiny: Callable[[str], Built]) -> None:
    weight = tiny("sd1").unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture
def half_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp16 with its scaler, which a plan may only ask of a GPU."""
    monkeypatch.setattr("modules.training.loop.number_for", lambda plan, device: torch.float16)


@pytest.mark.usefixtures("half_on_cpu")
def test_a_gradient_that_overflows_in_fp16_is_left_out_and_scaled_down(plan_of: PlanOf) -> None:
    model, weights, scales = OneWeight(), [0.5], []
    overflows = [True, False, False]
    model.unet.weight.register_hook(lambda gradient: gradient * (float("inf") if overflows.pop(0) else 1.0))

    def look(_: object, position: Position) -> None:
        weights.append(model.unet.weight.item())
        scales.append(position.scaler.get_scale())

    told = run(model, model.learner, plan_of(max_train_steps=3), model, look)
    assert weights[1] == weights[0] != weights[2] != weights[3]
    assert scales == [32768.0] * 3
    assert not told[0].grad_norm < float("inf")
    assert told[1].grad_norm == pytest.approx(second_norm(plan_of), rel=1e-2)  # unscaled again


def second_norm(plan_of: PlanOf) -> float:
    """The gradient of the second step from the same weight, in float32."""
    model = OneWeight()
    return run(model, model.learner, plan_of(max_train_steps=2, learning_rate=1e-12), model)[1].grad_norm


@pytest.mark.usefixtures("half_on_cpu")
def test_a_gradient_that_overflows_at_every_scale_is_an_error(plan_of: PlanOf) -> None:
    model = OneWeight()
    model.unet.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NotFinite, match="gradient .* step 17"):
        run(model, model.learner, plan_of(max_train_steps=30), model)
    assert model.unet.weight.item() == 0.5
