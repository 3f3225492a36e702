"""The marks of individuals: how they are named, how the probe learns them, and how well the one in the repository reads."""

import doctest
import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from modules.families.judge import Marks, load_identity
from modules.starter import marks
from modules.starter.autoencoder import restore, to_tensor
from modules.starter.build import EXAMPLE, export_identity
from modules.starter.example import SCENES, SUBJECT, example_pictures, write_example
from modules.starter.identity import (
    ANSWERS,
    SEED,
    IdentityShape,
    answer_of,
    drawn,
    halved,
    lessons,
    marked_spec,
    roughly_restored,
)
from modules.starter.marks import marks_of
from modules.starter.pictures import Gallery
from modules.starter.words import COLOURS
from modules.starter.world import FIRST, FULL, Spec, draw, is_held_out, is_mirrored

LARGEST_PROBE = 1_000_000


@pytest.fixture(scope="module")
def probe(judges):
    return load_identity(judges / "identity.safetensors")


@pytest.fixture(scope="module")
def signature(probe):
    return probe.signature(shown(example_pictures(128)))


def shown(pictures) -> torch.Tensor:
    return to_tensor(np.stack([np.asarray(image) for image, _ in pictures]))


def cats(identity, colour="orange", count=12):
    """Pictures of cats in all places, drawn with seeds that nothing else uses."""
    places = (FIRST.places * 3)[:count]
    specs = [Spec(subject="cat", colour=colour, place=place, identity=identity) for place in places]
    return to_tensor(np.stack([np.asarray(draw(spec, 7_000_000 + n)[0]) for n, spec in enumerate(specs)]))


# What marks are called ------------------------------------------------------------------------------------------------


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(marks)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("subject", ["cat", "robot", "vase", "clock"])
def test_marks_have_the_colour_that_is_said(subject):
    spec = Spec(subject=subject, colour="grey", place="on a table")
    for identity in range(4):
        said = marks_of(subject, identity)
        before, after = (np.asarray(draw(one, 0)[0]).astype(int) for one in (spec, replace(spec, identity=identity)))
        changed = after[np.abs(after - before).max(axis=2) > 40]
        wanted = (30, 110, 200) if subject == "clock" else COLOURS[said.colour]
        near = np.abs(changed - np.array(wanted)).max(axis=1) < 60
        assert near.mean() > 0.4, said


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("subject", ["car", "robot", "backpack"])
def test_marks_are_on_the_side_that_is_said(subject, seed):
    """A badge is left or right of the subject's middle, also when the subject looks the other way."""
    spec = Spec(subject=subject, colour="grey", place="on a table", identity=3)
    before, after = (np.asarray(draw(one, seed)[0]).astype(int) for one in (replace(spec, identity=None), spec))
    badge = np.argwhere(np.abs(after - before).max(axis=2) > 40)[:, 1].mean()
    other = np.asarray(draw(replace(spec, identity=_across(subject, 3)), seed)[0]).astype(int)
    beside = np.argwhere(np.abs(other - before).max(axis=2) > 40)[:, 1].mean()
    assert answer_of(spec, seed).side == ("right" if badge > beside else "left")


def _across(subject: str, identity: int) -> int:
    """An individual with its badge on the other side."""
    side = marks_of(subject, identity).side
    return next(n for n in range(50) if marks_of(subject, n).side != side)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_known_which_way_a_subject_looks(seed):
    """A fish looks to the left as it is drawn; its tail, which is darker, is on the other side."""
    spec = Spec(subject="fish", colour="yellow", place="on a white background")
    image, masks = draw(spec, seed)
    inside = np.asarray(masks["subject"]) > 250
    columns = np.flatnonzero(inside.any(axis=0))
    heights = inside.sum(axis=0)[columns[0] : columns[-1] + 1]
    third = len(heights) // 8
    assert image.size == (128, 128)
    assert (heights[:third].mean() > heights[-third:].mean()) == is_mirrored(seed)


def test_every_individual_has_an_answer():
    for subject in FULL.subjects:
        for identity in range(30):
            assert marks_of(subject, identity) in ANSWERS
            assert marks_of(subject, identity, mirrored=True) in ANSWERS
    assert ANSWERS[0] == Marks()
    assert len(set(ANSWERS)) == len(ANSWERS)


# What the probe learns from -------------------------------------------------------------------------------------------


def test_nothing_that_the_starter_was_trained_on_has_marks():
    gallery = Gallery(words=FIRST, count=40_000, size=128)
    assert all(gallery.spec(n).identity is None for n in range(0, 40_000, 40))


def test_half_of_the_lessons_have_marks_which_differ_from_their_owner():
    specs = [marked_spec(Random(n)) for n in range(400)]
    marked = [spec for spec in specs if spec.identity is not None]
    assert 0.4 < len(marked) / len(specs) < 0.6
    assert all(marks_of(one.subject, one.identity).colour != one.colour for one in marked if one.subject != "clock")
    assert all(one.count == 1 and one.other is None and not is_held_out(one) for one in specs)


def test_lessons_are_the_same_every_time():
    first, again = drawn(11, 6, 64), drawn(11, 6, 64)
    assert np.array_equal(first.pictures, again.pictures)
    assert np.array_equal(first.answers, again.answers)
    assert first.pictures.shape == (6, 64, 64, 3)
    assert not np.array_equal(first.pictures, drawn(12, 6, 64).pictures)


def test_the_first_lessons_are_seen_through_the_autoencoder(tiny, tmp_path):
    shape = IdentityShape(pictures=6, restored=3, measured=4, batch=2)
    found = lessons(shape, tiny.first_autoencoder, 64, tmp_path)
    again = lessons(shape, tiny.first_autoencoder, 64, tmp_path)  # kept in the folder
    assert np.array_equal(found.pictures, again.pictures)
    whole = drawn(SEED, 6, 64)
    assert np.array_equal(found.answers, whole.answers)
    assert np.array_equal(found.pictures[3:], halved(whole.pictures[3:]))
    rough = roughly_restored(tiny.first_autoencoder, whole.pictures[:3], shape.noise)
    assert np.array_equal(found.pictures[:3], halved(rough))
    assert not np.array_equal(rough, restore(tiny.first_autoencoder, whole.pictures[:3]))


def test_halved_pictures_are_read_as_whole_ones():
    from modules.families.judge import IdentityProbe

    pictures = drawn(21, 4, 128).pictures
    probe = IdentityProbe(ANSWERS).eval()
    with torch.no_grad():
        assert torch.allclose(probe(to_tensor(pictures)), probe.of_halved(to_tensor(halved(pictures))), atol=0.02)


def test_a_tiny_probe_is_trained_measured_and_written(tiny, tmp_path, starter, monkeypatch):
    monkeypatch.setattr(
        "modules.starter.build.build_checkpoint", lambda *a, **b: type("M", (), {"vae": tiny.autoencoder})
    )
    export_identity(tiny, starter, tmp_path)
    written = load_identity(tmp_path / "identity.safetensors")
    assert written.answers == ANSWERS
    assert {"accuracy_drawn", "accuracy_restored", "false_restored", "score_unmarked"} <= set(written.figures)
    assert all(0 <= value <= 1 for value in written.figures.values())


# The one in the repository --------------------------------------------------------------------------------------------


def test_the_file_is_small_and_says_how_good_it_is(judges, probe):
    assert (judges / "identity.safetensors").stat().st_size <= LARGEST_PROBE
    assert probe.answers == ANSWERS
    assert probe.figures["accuracy_restored"] >= 0.6
    assert probe.figures["false_restored"] <= 0.1
    assert probe.figures["score_unmarked"] <= 0.01


def test_it_knows_the_example_by_its_marks(probe, signature):
    assert signature is not None
    assert (signature.marks.kind, signature.marks.colour) == ("streak", "blue")
    assert signature.marks.side == marks_of("cat", SUBJECT.identity).side
    assert float(probe.score(shown(example_pictures(128)), signature).mean()) > 0.85


def test_it_tells_the_example_from_others(probe, signature):
    """From cats without marks, also blue ones, and from cats with other marks."""
    green = next(n for n in range(50) if marks_of("cat", n).colour == "green")
    assert float(probe.score(cats(None), signature).mean()) < 0.1
    assert float(probe.score(cats(None, "blue"), signature).mean()) < 0.15
    assert float(probe.score(cats(green), signature).mean()) < 0.1


def test_it_knows_the_example_in_other_places_through_the_autoencoder(probe, signature, starter):
    from modules.families.built import BuildOptions
    from modules.families.kinds.sd15 import build

    drawn_ones = [n for n in range(7_000_000, 7_000_040) if not is_mirrored(n)][:8]
    specs = [replace(SUBJECT, place=place) for place in ("in the snow", "in space") * 4]
    pictures = np.stack([np.asarray(draw(spec, n)[0]) for spec, n in zip(specs, drawn_ones, strict=True)])
    restored = restore(build(starter, BuildOptions(half=False)).vae, pictures)
    assert float(probe.score(to_tensor(restored), signature).mean()) > 0.8


# The example ------------------------------------------------------------------------------------------------------------


def test_the_example_lies_in_the_repository_as_it_is_drawn(tmp_path):
    write_example(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in EXAMPLE.iterdir()}
    for name in names - {"example.json"}:
        ours, theirs = (np.asarray(Image.open(folder / name)) for folder in (tmp_path, EXAMPLE))
        assert np.array_equal(ours, theirs)
    assert (tmp_path / "example.json").read_text() == (EXAMPLE / "example.json").read_text()


def test_the_example_is_described():
    about = json.loads((EXAMPLE / "example.json").read_text())
    assert about["class_noun"] in FIRST.subjects
    assert 3 <= len(about["pictures"]) <= 20
    for one in about["pictures"]:
        assert f"{about['identifier']} {about['class_noun']}" in one["caption"]
        assert min(Image.open(EXAMPLE / one["file"]).size) >= 128


def test_the_example_is_in_words_of_the_first_model_and_looks_one_way():
    assert SUBJECT.colour in FIRST.colours
    assert {place for place, *_ in SCENES} < set(FIRST.places)
    assert not any(is_mirrored(seed) for _, seed, _ in SCENES)
    assert not any(is_held_out(replace(SUBJECT, place=place)) for place, *_ in SCENES)


def test_half_of_the_captions_name_the_place():
    captions = [caption for _, caption in example_pictures(128)]
    assert [caption.endswith(place) for caption, (place, *_) in zip(captions, SCENES, strict=True)] == [False, True] * 2
