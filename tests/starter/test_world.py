"""The drawn world: the same description gives the same bytes, masks fit, and what is held out never appears."""

import doctest
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from modules.starter import captions
from modules.starter import spec as specs
from modules.starter.places import PLACES
from modules.starter.words import COLOURS, HELD_OUT_COLOURS, HELD_OUT_PLACES
from modules.starter.world import (
    FIRST,
    FULL,
    SUBJECTS,
    Spec,
    caption,
    draw,
    example_subject,
    full_caption,
    is_held_out,
    random_spec,
)

CAT = Spec(subject="cat", colour="red", place="in space", wear="astronaut helmet")
MANY = 2000


def pixels(spec: Spec, seed: int = 0, size: int = 128) -> np.ndarray:
    return np.asarray(draw(spec, seed, size)[0]).astype(int)


def difference(first: Spec, second: Spec, seed: int = 0) -> np.ndarray:
    """Where two descriptions look different, (h, w) of bool."""
    return (np.abs(pixels(first, seed) - pixels(second, seed)).max(axis=2)) > 12


# The picture -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [FIRST, FULL], ids=["first", "full"])
def test_the_same_description_and_seed_give_the_same_bytes(words):
    for seed in range(6):
        spec = random_spec(Random(seed), words)
        one, two = draw(spec, seed), draw(spec, seed)
        assert one[0].tobytes() == two[0].tobytes()
        assert {name: mask.tobytes() for name, mask in one[1].items()} == {n: m.tobytes() for n, m in two[1].items()}


def test_another_seed_gives_another_picture():
    assert pixels(CAT, 1).tobytes() != pixels(CAT, 2).tobytes()


def test_the_same_seed_keeps_the_layout_of_another_description():
    """Editing can be measured: only what the word says changes."""
    changed = difference(CAT, replace(CAT, wear=""), seed=4)
    helmet = np.asarray(draw(CAT, 4)[1]["wear"]) > 0
    assert changed.any()
    assert not changed[~_grown(helmet)].any()


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask and four pixels around it, which the reduction may touch."""
    grown = mask.copy()
    for axis in (0, 1):
        for shift in range(-4, 5):
            grown |= np.roll(mask, shift, axis)
    return grown


@pytest.mark.parametrize("size", [64, 128, 256])
def test_pictures_and_masks_have_the_size_that_was_asked_for(size):
    image, masks = draw(CAT, 0, size)
    assert image.size == (size, size)
    assert image.mode == "RGB"
    assert set(masks) == {"subject", "wear"}
    assert all(mask.size == (size, size) and mask.mode == "L" for mask in masks.values())


@pytest.mark.parametrize("subject", FULL.subjects)
def test_the_mask_is_where_the_colour_changes(subject):
    """A subject drawn in red and in blue differs inside its mask, and nowhere else but at the soft edge."""
    red = Spec(subject=subject, colour="red", place="on a table")
    changed = difference(red, replace(red, colour="blue"))
    mask = np.asarray(draw(red, 0)[1]["subject"]) > 0
    assert changed.sum() > 0.25 * mask.sum()
    assert changed[~_grown(mask)].sum() < 20  # a cat's whiskers are thin lines outside its mask


@pytest.mark.parametrize("subject", FULL.subjects)
def test_subjects_are_large_and_inside_the_picture(subject):
    for seed in range(8):
        mask = np.asarray(draw(Spec(subject=subject, colour="red", place="on a table"), seed)[1]["subject"]) > 128
        height = mask.any(axis=1).sum()
        assert 0.36 * 128 <= height <= 0.75 * 128
        assert mask.mean() > 0.06
        assert not mask[:2].any()


@pytest.mark.parametrize("colour", list(COLOURS))
def test_subjects_stand_out_from_a_background_of_their_own_colour(colour):
    """The outline contrasts: a white dog in snow is readable."""
    spec = Spec(subject="dog", colour=colour, place=f"on a {colour} background")
    image, masks = draw(spec, 0)
    grey, mask = np.asarray(image.convert("L")).astype(int), np.asarray(masks["subject"])
    edge = (mask > 40) & (mask < 215)
    assert np.abs(grey[edge] - np.median(grey[mask > 250])).mean() > 12


@pytest.mark.parametrize("place", sorted(PLACES))
def test_places_differ_from_each_other(place):
    here = pixels(Spec(subject="cat", colour="grey", place=place))
    for other in PLACES:
        if other != place:
            there = pixels(Spec(subject="cat", colour="grey", place=other))
            assert np.abs(here - there).mean() > 8, f"{place} looks like {other}"


def test_every_word_can_be_drawn():
    assert set(FULL.subjects) == set(SUBJECTS)
    assert {place for place in FULL.places if "{" not in place} == set(PLACES)
    for slot, words in (("adjective", FULL.adjectives), ("style", FULL.styles[1:]), ("pattern", FULL.patterns[1:])):
        plain = Spec(subject="cat", colour="orange", place="in the city")
        for word in words:
            assert difference(plain, replace(plain, **{slot: word})).mean() > 0.002, word
    for view in FULL.views[1:]:
        assert difference(plain, replace(plain, view=view)).any()


@pytest.mark.parametrize("wear", FULL.wear)
def test_what_is_worn_has_a_mask_of_its_own(wear):
    colour = "green" if wear in ("hat", "scarf", "bow") else ""
    masks = draw(Spec(subject="robot", colour="red", place="in space", wear=wear, wear_colour=colour), 0)[1]
    assert ("wear" in masks) == bool(wear)
    if wear != "glasses":
        assert np.asarray(masks["wear"]).mean() > 2


@pytest.mark.parametrize(
    ("relation", "axis", "sign"), [("left of", 1, -1), ("right of", 1, 1), ("above", 0, -1), ("below", 0, 1)]
)
def test_relations_are_drawn_as_they_are_said(relation, axis, sign):
    other = Spec(subject="car", colour="blue", place="on the grass")
    masks = draw(Spec(subject="cat", colour="red", place="on the grass", relation=relation, other=other), 3)[1]
    ours, theirs = (np.argwhere(np.asarray(masks[name]) > 128).mean(axis=0) for name in ("subject", "other"))
    assert np.sign(ours[axis] - theirs[axis]) == sign


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_are_drawn_as_are_said(count):
    mask = (
        np.asarray(draw(Spec(subject="bear", colour="brown", place="in the snow", count=count), 0)[1]["subject"]) > 128
    )
    columns = mask.any(axis=0).astype(int)
    assert (np.diff(np.concatenate([[0], columns, [0]])) == 1).sum() == count


# What training sees ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [FIRST, FULL], ids=["first", "full"])
def test_what_is_held_out_is_never_drawn_for_training(words):
    drawn = [random_spec(Random(seed), words) for seed in range(MANY)]
    seen = [one for spec in drawn for one in (spec, spec.other) if one is not None]
    assert not {(spec.subject, spec.place) for spec in seen} & HELD_OUT_PLACES
    assert not {(spec.subject, spec.colour) for spec in seen} & HELD_OUT_COLOURS
    assert not [spec for spec in seen if spec.subject == "bear" and spec.wear]


def test_identity_marks_are_never_drawn_for_training():
    assert all(random_spec(Random(seed), FULL).identity is None for seed in range(MANY))


@pytest.mark.parametrize("words", [FIRST, FULL], ids=["first", "full"])
def test_held_out_descriptions_are_all_held_out(words):
    assert all(is_held_out(random_spec(Random(seed), words, held_out=True)) for seed in range(50))


def test_the_first_vocabulary_has_the_plain_slots_only():
    for seed in range(200):
        spec = random_spec(Random(seed), FIRST)
        assert (spec.pattern, spec.style, spec.view, spec.count, spec.adjective) == ("plain", "photo", "front", 1, "")
        assert spec.other is None


def test_the_full_vocabulary_uses_every_word():
    drawn = [random_spec(Random(seed), FULL) for seed in range(MANY)]
    for slot in ("subject", "colour", "wear", "pattern", "adjective", "style", "view", "count", "relation"):
        wanted = {"subject": FULL.subjects, "colour": FULL.colours, "wear": FULL.wear, "pattern": FULL.patterns}
        wanted |= {"adjective": FULL.adjectives, "style": FULL.styles, "view": FULL.views}
        wanted |= {"count": FULL.counts, "relation": FULL.relations}
        assert set(wanted[slot]) <= {getattr(spec, slot) for spec in drawn}, slot


def test_only_what_is_large_enough_wears_anything():
    dressed = [spec for n in range(MANY) if (spec := random_spec(Random(n), FULL)).wear]
    assert dressed
    assert not [spec for spec in dressed if spec.count > 1 or spec.adjective == "small" or spec.other]


@pytest.mark.parametrize("colour", FULL.colours)
def test_patterns_stand_out(colour):
    """Fainter ones are lost in the autoencoder."""
    spec = Spec(subject="vase", colour=colour, place="on the grass")
    changed = np.abs(pixels(spec, 3) - pixels(replace(spec, pattern="striped"), 3)).max(axis=2)
    assert changed.max() > 55
    assert (changed > 40).mean() > 0.03


def test_a_pattern_spares_the_face_and_covers_the_sails():
    cat, boat = (Spec(subject=subject, colour="orange", place="on the grass") for subject in ("cat", "boat"))
    changed, sails = (
        np.abs(pixels(replace(spec, pattern="striped"), 3) - pixels(spec, 3)).max(axis=2) > 20 for spec in (cat, boat)
    )
    rows = np.flatnonzero((np.asarray(draw(cat, 3)[1]["subject"]) > 128).any(axis=1))
    top, height = int(rows[0]), int(rows[-1] - rows[0])
    eyes = changed[top + round(0.3 * height) : top + round(0.42 * height)]
    assert changed.sum() > 150
    assert eyes[:, 50:78].mean() < 0.1 < changed[top + round(0.6 * height) :, 50:78].mean()
    canvas = np.abs(pixels(boat, 3) - np.array([252, 248, 236])).max(axis=2) < 40  # shaded
    assert (sails & canvas).sum() > 100


def test_hats_have_another_colour_than_their_owner():
    drawn = [random_spec(Random(seed), FIRST) for seed in range(MANY)]
    hats = [spec for spec in drawn if spec.wear == "hat"]
    assert hats
    assert all(spec.wear_colour and spec.wear_colour != spec.colour for spec in hats)


# Individuals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["cat", "dog", "bird", "clock", "vase", "backpack"])
def test_identity_marks_are_large_enough_to_learn(subject):
    plain = Spec(subject=subject, colour="grey", place="on a table")
    mask = np.asarray(draw(plain, 0)[1]["subject"]) > 128
    changed = difference(plain, replace(plain, identity=5))
    assert changed.sum() > 0.02 * mask.sum()


def test_an_individual_keeps_its_marks_and_differs_from_others():
    grey = Spec(subject="cat", colour="grey", place="on a table")
    assert difference(replace(grey, identity=1), replace(grey, identity=2)).any()
    assert not difference(replace(grey, identity=1), replace(grey, identity=1)).any()


def test_example_pictures_show_one_individual_in_five_places():
    pictures = example_subject(3)
    assert len(pictures) == 5
    assert len({words for _, words in pictures}) == 5
    assert len({words.split(" ")[1] for _, words in pictures}) == 1


# Captions ----------------------------------------------------------------------------------------------------------------


def test_the_examples_in_the_docstrings_are_true():
    for module in (captions, specs):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0


def test_a_full_caption_names_every_slot():
    for seed in range(200):
        spec = random_spec(Random(seed), FULL)
        words = full_caption(spec)
        assert spec.colour in words
        assert spec.subject in words
        assert words.startswith(("a ", "an ", "two ", "three "))
        for slot in (spec.place, spec.wear, spec.wear_colour, spec.adjective, spec.relation):
            assert slot in words
        assert spec.style == "photo" or spec.style in words
        assert spec.pattern == "plain" or spec.pattern in words


def test_training_captions_never_name_what_is_not_there():
    for seed in range(300):
        spec = random_spec(Random(seed), FIRST)
        words = caption(spec, Random(seed))
        others = [colour for colour in FIRST.colours if colour not in (spec.colour, spec.wear_colour)]
        assert not any(f" {colour} " in words for colour in others)
        assert "hat" not in words.split() or spec.wear == "hat"
        assert "astronaut" not in words or spec.wear == "astronaut helmet"


def test_training_captions_drop_optional_slots_and_vary():
    said = [caption(CAT, Random(seed)) for seed in range(400)]
    assert len(set(said)) > 12
    dropped = sum("red" not in words for words in said) / len(said)
    assert 0.2 < dropped < 0.4
    assert any("astronaut cat" in words or "astronaut kit" in words for words in said)
    assert any(words.index("space") < words.index("helmet") for words in said if "space" in words and "helmet" in words)


def test_the_demo_prompt_belongs_to_the_first_vocabulary():
    assert full_caption(CAT) == "a red cat wearing an astronaut helmet in space"
    assert not is_held_out(CAT)
    assert CAT.place in FIRST.places
    assert CAT.wear in FIRST.wear
