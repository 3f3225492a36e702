"""Random numbers by what they are for."""

from collections.abc import Callable
from itertools import product

import torch

from modules.core.training import TrainingPlan
from modules.families.built import Built
from modules.training.chance import Purpose, generator, rows, rows_per_step


def test_the_same_numbers_give_the_same_draw_and_others_another() -> None:
    draws = [torch.rand(4, generator=generator(seed, step, row)) for seed, step, row in product(range(3), repeat=3)]
    assert torch.equal(draws[5], torch.rand(4, generator=generator(0, 1, 2)))
    assert len({tuple(one.tolist()) for one in draws}) == 27


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    torch.randn(3, generator=generator(1, Purpose.NOISE))
    assert torch.equal(before, torch.get_rng_state())


def test_any_seed_of_a_plan_will_do() -> None:
    draws = {float(torch.rand(1, generator=generator(seed, 10**12))) for seed in (-1, 0, 2**32 - 1)}
    assert len(draws) == 3


def test_batches_accumulation_and_processes_share_out_the_same_places(plan_of: Callable[..., TrainingPlan]) -> None:
    for batch, accumulated, ranks in ((4, 1, 1), (1, 4, 1), (2, 1, 2), (1, 2, 2)):
        plan = plan_of(train_batch_size=batch, gradient_accumulation_steps=accumulated)
        places = [
            row for micro in range(accumulated) for rank in range(ranks) for row in rows(plan, micro, rank, ranks)
        ]
        assert sorted(places) == list(range(4)) == list(range(rows_per_step(plan, ranks)))


def test_the_tiny_models_are_what_their_families_are(tiny: Callable[[str], Built]) -> None:
    assert tiny("sd1").prediction == "epsilon"
    assert tiny("sd1").dtype == torch.float32
    assert tiny("sd2-v").prediction == "v_prediction"
    assert tiny("sdxl").text_encoder_2 is not None
