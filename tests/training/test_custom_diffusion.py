"""Custom Diffusion: keys and values of the cross attention change, and nothing else."""

from collections.abc import Callable

import torch

from modules.core.training import TrainingPlan
from modules.families.built import Built
from tests.training.learning import METHODS, bits, taught


def weights(model: Built) -> dict[str, bytes]:
    return {
        f"{part}.{name}": bits(one)
        for part, network in model.networks.items()
        for name, one in network.named_parameters()
    }


def test_only_keys_and_values_change(fresh: Callable[..., Built], plan_of: Callable[..., TrainingPlan]) -> None:
    model = fresh()
    before = weights(model)
    with taught(model, plan_of(method="custom_diffusion", train_text_encoder=True)) as learner:
        assert not learner.reads
        (group,) = learner.groups
        assert group.name == "unet"
    after = weights(model)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == set(learner.named)
    expected = {
        f"unet.{name}" for name in model.unet.state_dict() if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
    }
    assert changed == expected
    assert len(changed) == 2 * 4  # one transformer block going down, one in the middle, two going up


def test_the_share_of_the_model_is_small(fresh: Callable[..., Built], plan_of: Callable[..., TrainingPlan]) -> None:
    model = fresh()
    with METHODS["custom_diffusion"].prepare(model, plan_of(method="custom_diffusion")) as learner:
        learning = sum(one.numel() for one in learner.named.values())
    assert learning < 0.1 * sum(one.numel() for one in model.unet.parameters())


def test_the_result_is_the_model(fresh: Callable[..., Built], plan_of: Callable[..., TrainingPlan]) -> None:
    with METHODS["custom_diffusion"].prepare(fresh(), plan_of(method="custom_diffusion")) as learner:
        for format, suffix in (("checkpoint", ".safetensors"), ("diffusers", "")):
            (one,) = learner.export(format, torch.float16)
            assert (one.kind, one.format, one.suffix, dict(one.tensors)) == ("checkpoint", format, suffix, {})
