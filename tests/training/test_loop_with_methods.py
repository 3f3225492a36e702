"""The whole chain on tiny models: each method, real pictures and captions, two sittings that are one."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core.training import TrainingNumbers, TrainingPlan
from modules.families.built import Built
from modules.training import state
from modules.training.dataset import Data, Example, examples
from modules.training.loop import begin, train
from modules.training.methods import custom_diffusion, dreambooth, lora, textual_inversion

PREPARE: dict[str, Any] = {
    "dreambooth": dreambooth.prepare,
    "lora": lora.prepare,
    "textual_inversion": textual_inversion.prepare,
    "custom_diffusion": custom_diffusion.prepare,
}
HARDEST: dict[str, Any] = {  # what there is to go wrong together
    "max_train_steps": 4,
    "with_prior_preservation": True,
    "train_text_encoder": True,
    "gradient_checkpointing": True,
    "random_flip": True,
    "snr_gamma": 5.0,
    "use_ema": True,
    "num_vectors": 2,
    "rank": 4,
    "alpha": 2.0,
    "class_pictures": ("c", "d"),
    "pictures": ("a", "b"),
}
CASES = [("sd1", "dreambooth"), ("sd1", "custom_diffusion"), ("sdxl", "lora"), ("sd2-v", "textual_inversion")]


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def seen() -> Callable[[TrainingPlan], tuple[list[Example], list[Example]]]:
    def read(plan: TrainingPlan) -> tuple[list[Example], list[Example]]:
        pictures = [picture(1), picture(2)]
        return examples(pictures, plan, 64, 8), examples([picture(3), picture(4)], plan, 64, 8, prior=True)

    return read


def plan_for(method: str, plan_of: Callable[..., TrainingPlan]) -> TrainingPlan:
    word = "my-cat" if method == "textual_inversion" else "sks"
    return plan_of(method=method, instance_prompt=f"a photo of {word} cat", learning_rate=1e-3, **HARDEST)


@pytest.mark.parametrize(("family", "method"), CASES)
def test_a_method_learns_and_goes_on_where_it_stopped(
    family: str, method: str, fresh: Callable[..., Built], plan_of: Any, seen: Any, tokenizer: Any, tmp_path: Path
) -> None:
    plan = plan_for(method, plan_of)

    def sitting(until: int, folder: Path | None = None) -> SimpleNamespace:
        model, told = fresh(family), []
        with PREPARE[method](model, plan) as learner:
            before = {name: one.detach().clone() for name, one in learner.named.items()}
            position = begin(learner, plan, model.device)
            if folder is not None:
                state.load(folder, position, learner, plan)
            batches = Data(model, learner, plan, tokenizer, *seen(plan))
            batches.prepare()

            def hear(numbers: TrainingNumbers, _: Any) -> bool:
                told.append(numbers)
                return numbers.step == until

            train(model, learner, plan, batches, position, hear)
            if folder is not None:
                state.save(folder, position, learner, plan)
            after = {name: one.detach().clone() for name, one in learner.named.items()}
            groups = {one.name: [id(each) for each in one.parameters] for one in learner.groups}
            names = {id(one): name for name, one in learner.named.items()}
        moved = {
            group: any(not torch.equal(before[names[each]], after[names[each]]) for each in members)
            for group, members in groups.items()
        }
        return SimpleNamespace(weights=after, losses=[one.loss for one in told], moved=moved, told=told)

    whole = sitting(2)
    assert all(whole.moved.values()), whole.moved
    assert all(one.prior_loss is not None and one.loss == one.loss for one in whole.told)
    first, second = sitting(1, tmp_path), sitting(2, tmp_path)
    assert first.losses + second.losses == whole.losses
    assert all(torch.equal(one, second.weights[name]) for name, one in whole.weights.items())
