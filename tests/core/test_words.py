"""The words the two processes share: fractions, records, errors, hooks; and that level 0 keeps its promises."""

import dataclasses
import inspect
import subprocess
import sys

import pytest

from modules.core import errors, events, extension_points, requests
from modules.core.errors import AtelierError, InvalidRequest, Problem
from modules.core.events import Progress
from modules.core.extension_points import COLLECTED, HOOKS, Collect, PassAlong, Tell
from modules.core.requests import ImageRequest
from modules.core.wire import known_classes


@pytest.mark.parametrize(
    ("step", "steps", "batch", "batches", "fraction"),
    [
        (0, 20, 0, 1, 0.0),
        (10, 20, 0, 1, 0.5),
        (20, 20, 0, 1, 1.0),
        (10, 20, 1, 2, 0.75),
        (0, 0, 0, 1, 0.0),
        (31, 30, 3, 4, 1.0),
    ],
)
def test_progress_counts_batches_and_steps(step, steps, batch, batches, fraction):
    progress = Progress(job="j", step=step, steps=steps, batch=batch, batches=batches)
    assert progress.fraction == pytest.approx(fraction)


def dataclasses_of(*modules):
    found = [value for module in modules for value in vars(module).values()]
    return [one for one in found if isinstance(one, type) and dataclasses.is_dataclass(one)]


@pytest.mark.parametrize("kind", dataclasses_of(requests, events, extension_points), ids=lambda kind: kind.__name__)
def test_what_crosses_a_level_is_frozen_keyword_only_and_described(kind):
    assert kind.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(kind))
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")  # dataclasses write one like that when there is none


@pytest.mark.parametrize("kind", dataclasses_of(events), ids=lambda kind: kind.__name__)
def test_every_message_can_travel(kind):
    assert kind.__name__ in known_classes()


def every_error():
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_is_ours_and_says_when_it_is_raised(kind):
    assert issubclass(kind, AtelierError)
    assert inspect.getdoc(kind)


def test_a_refusal_names_all_fields_in_one_sentence_each():
    refusal = InvalidRequest(Problem(field="width", message="Too wide."), Problem(field="steps", message="Too few."))
    assert str(refusal) == "Too wide. Too few."
    assert [problem.field for problem in refusal.problems] == ["width", "steps"]


def test_every_collecting_hook_says_what_it_collects():
    hooks = [name for name in vars(Collect) if not name.startswith("_")]
    assert list(COLLECTED) == hooks
    for name in hooks:
        answers = inspect.signature(getattr(Collect, name)).return_annotation
        assert answers == list[COLLECTED[name]]


def test_no_hook_has_two_meanings():
    names = [name for hooks in HOOKS for name in vars(hooks) if not name.startswith("_")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("hooks", [PassAlong, Tell], ids=lambda hooks: hooks.__name__)
def test_every_hook_says_where_and_when_it_is_called(hooks):
    for name, hook in vars(hooks).items():
        if not name.startswith("_"):
            assert inspect.getdoc(hook).startswith(("Web process", "Engine", "Either process")), name


def test_a_request_counts_its_pictures():
    assert ImageRequest(batch_count=3, batch_size=2).images == 6


def test_the_field_has_these_defaults():
    """As defaults.md of the field's documentation lists them for the page."""
    plain = ImageRequest()
    assert (plain.sampler, plain.schedule, plain.steps, plain.cfg_scale, plain.seed) == (
        "DPM++ 2M",
        "Automatic",
        20,
        7,
        -1,
    )
    assert (plain.width, plain.height, plain.batch_count, plain.batch_size, plain.clip_skip) == (512, 512, 1, 1, 1)


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize("package", ["torch", "torch.nn", "diffusers", "transformers", "accelerate"])
def test_a_forbidden_package_is_refused_with_advice(package):
    done = run(f"from modules.core.forbidden import forbid; forbid(); import {package}")
    assert done.returncode == 1
    assert "import it inside the function that the engine calls" in done.stderr


def test_other_packages_are_left_alone():
    done = run("from modules.core.forbidden import forbid; forbid(); import json, pluggy, torchlike_is_no_torch")
    assert "No module named 'torchlike_is_no_torch'" in done.stderr
