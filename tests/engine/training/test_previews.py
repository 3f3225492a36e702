"""When previews are drawn, and what their texts say."""

import pytest

from modules.engine.training.previews import Previews, difference, jpeg_of
from modules.engine.training.session import saves


def previews(plan, kind="lora", name="my-cat"):
    return Previews(plan=plan, context=None, kind=kind, name=name)


@pytest.mark.parametrize(
    ("every", "steps", "wanted"),
    [
        (0, 100, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
        (0, 4, [0, 1, 2, 3, 4]),
        (30, 100, [0, 30, 60, 90, 100]),
        (50, 100, [0, 50, 100]),
        (-1, 100, [0, 100]),
        (500, 100, [0, 100]),
    ],
)
def test_when(plan_of, every, steps, wanted):
    drawn = previews(plan_of(preview_every=every, max_train_steps=steps))
    assert [step for step in range(steps + 1) if drawn.due(step)] == wanted
    for step in range(steps + 1):
        assert drawn.left(step) == sum(one > step for one in wanted), step


def test_none_without_prompts(plan_of):
    drawn = previews(plan_of(preview_prompts=()))
    assert not any(map(drawn.due, range(7)))
    assert drawn.left(0) == 0


def test_texts_name_the_result_as_it_will_be_used(plan_of):
    plan = plan_of(name="catty", preview_prompts=("a catty in snow", "a cat"))
    assert previews(plan).prompt(0) == "<lora:my-cat:1> a catty in snow"
    assert previews(plan, "embedding", "catty-2").prompt(0) == "a catty-2 in snow"
    assert previews(plan, "embedding", "catty").prompt(1) == "a cat"
    assert previews(plan, "checkpoint").prompt(0) == "a catty in snow"
    assert previews(plan_of(preview_prompts=()), "checkpoint").prompt(0) == "a photo of sks cat"


def test_every_preview_has_the_same_seed(plan_of):
    drawn = previews(plan_of(preview_cfg_scale=3.5, preview_sampler="Euler"))
    request = drawn.request(drawn.prompt(1))
    assert (request.seed, request.cfg_scale, request.sampler) == (61, 3.5, "Euler")
    assert (request.width, request.height, request.steps, request.images) == (64, 64, 2, 1)


def test_how_often_snapshots_are_made(plan_of):
    assert saves(plan_of(save_every=0, max_train_steps=400)) == 80
    assert saves(plan_of(save_every=0, max_train_steps=1)) == 1
    assert saves(plan_of(save_every=7)) == 7


def test_a_small_picture_of_all_of_them(done):
    class One:
        png = (done.folder / "previews/000000/0.png").read_bytes()

    assert jpeg_of([One(), One()]).startswith(b"\xff\xd8")
    assert difference(One.png, One.png) == 0
