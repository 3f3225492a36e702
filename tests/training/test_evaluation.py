"""The table of an evaluation, on features made by hand so that every figure is known beforehand."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch.nn.functional import normalize

from modules.core.training import TrainingPlan
from modules.training.evaluation import caveats, measures, scores
from modules.training.evidence import Evidence, Instruments, Look, Shot, look
from modules.training.packs import (
    CLASS,
    CONTEXT,
    PACKS,
    SUBJECT,
    SUBJECT2SUBJECT,
    WEAR,
    Prompt,
    Words,
    prompts_of,
    subject_of,
)

PLAN = TrainingPlan(class_noun="cat", identifier="sks", method="lora")
WORLD = Words(
    subjects=("cat", "dog"),
    colours=("red", "blue", "orange", "white"),
    places=("on the grass", "on the beach", "in the snow", "in the city"),
    wear=("hat", "astronaut helmet"),
)
WIDTH = 6


def unit(*numbers):
    return normalize(torch.tensor(numbers, dtype=torch.float32), dim=-1)


def one_hot(n):
    return torch.eye(WIDTH)[n]


def seen(features, *, place="", colour="orange", identity=None, wear=""):
    count = len(features)
    answers = {"place": [place] * count, "colour": [colour] * count, "wear": [wear] * count}
    return Look(features=features, read=answers, identity=None if identity is None else torch.full((count,), identity))


def instruments(**known):
    never = lambda *_: pytest.fail("everything was seen already")  # noqa: E731
    return Instruments(**({"extractor": "the tower", "image": never, "text": never, "words": WORLD} | known))


@pytest.fixture
def evidence():
    """Two portraits, two pictures in the snow (one place wrong), three of the class; the probe sees all marks."""
    training = seen(torch.stack([one_hot(0), unit(1, 1, 0, 0, 0, 0)]), identity=0.95)
    portrait = Shot(
        prompt=Prompt(role=SUBJECT, text="a photo of sks cat", caption="a photo of a cat"),
        drawn=seen(torch.stack([one_hot(0), unit(1, 2, 0, 0, 0, 0)]), identity=0.9),
        base=seen(torch.stack([one_hot(2), one_hot(3)]), identity=0.1),
        text=one_hot(0),
    )
    snow = Shot(
        prompt=Prompt(role=CONTEXT, text="a sks cat in the snow", caption="a cat in the snow", place="in the snow"),
        drawn=replace(
            seen(torch.stack([one_hot(1), one_hot(4)]), identity=0.7),
            read={"place": ["in the snow", "on the beach"], "colour": ["orange", "white"]},
        ),
        base=seen(torch.stack([one_hot(1), one_hot(1)]), place="in the snow", colour="red", identity=0.2),
        text=one_hot(1),
    )
    plain = Shot(
        prompt=Prompt(role=CLASS, text="a cat", caption="a cat"),
        drawn=replace(
            seen(torch.stack([one_hot(0), one_hot(0), one_hot(1)]), identity=0.3),
            read={"colour": ["red", "red", "blue"]},
        ),
        base=replace(
            seen(torch.stack([one_hot(0), one_hot(1), one_hot(2)]), identity=0.05),
            read={"colour": ["red", "blue", "white"]},
        ),
        text=one_hot(2),
    )
    known = instruments(identity=lambda images: images, read=lambda images: {})
    return Evidence(shots=(portrait, snow, plain), training=training, instruments=known)


def table(evidence):
    return {one.name: one for one in measures(evidence)}


# The table -----------------------------------------------------------------------------------------------------------


def test_the_subjects_figures(evidence):
    found = table(evidence)
    assert (found["identity"].value, found["identity"].floor) == (pytest.approx(0.9), pytest.approx(0.1))
    assert found["identity"].ceiling == pytest.approx(0.95)
    assert found["identity"].n == 2
    assert found["identity_context"].value == pytest.approx(0.7)
    cosines = torch.stack([one_hot(0), unit(1, 2, 0, 0, 0, 0)]) @ evidence.training.features.T
    assert found["clip_i"].value == pytest.approx(float(cosines.mean()))
    assert found["clip_i"].floor == 0
    assert found["clip_i"].ceiling == pytest.approx(0.5**0.5)


def test_the_prompts_figures(evidence):
    found = table(evidence)
    assert found["clip_score"].value == pytest.approx(100 * (1 + 1 / 5**0.5 + 1 + 0) / 4)
    assert found["clip_score"].ceiling == pytest.approx(50)
    assert found["clip_score"].floor == pytest.approx(100 * (2 / 5**0.5) / 4)  # with each other's captions
    assert "Hessel" in found["clip_score"].note
    place = found["place"]
    assert (place.value, place.floor, place.ceiling, place.n) == (0.5, 0.25, 1.0, 2)
    assert place.low < 0.5 < place.high


def test_the_classs_figures(evidence):
    """Without the identifier: has every cat become mine?"""
    found = table(evidence)
    assert found["drift"].value == pytest.approx(0.3)
    assert (found["drift"].ceiling, found["drift"].floor) == (pytest.approx(0.05), pytest.approx(0.9))
    assert found["drift"].better == "low"
    assert found["diversity"].value == pytest.approx(2 / 3)
    assert found["diversity"].ceiling == pytest.approx(1)
    assert found["diversity_kept"].value == pytest.approx(2 / 3)
    assert found["colours"].ceiling == pytest.approx(3)
    assert found["colours_kept"].value == pytest.approx(found["colours"].value / 3)


def test_the_three_failures_of_dreambooth(evidence):
    failures = {name: one for name, one in table(evidence).items() if one.group == "failure"}
    assert set(failures) == {"wrong_context", "entanglement", "nearest", "memorised"}
    assert all(one.better == "low" for one in failures.values())
    assert (failures["wrong_context"].value, failures["wrong_context"].ceiling) == (0.5, 0)
    assert failures["entanglement"].value == 0.5  # one white cat that should have stayed orange
    assert failures["entanglement"].ceiling == 0
    # A copy, and one at 3/√10 from a training picture: both nearer than those two are to each other (1/√2).
    assert failures["memorised"].value == 0.5


def test_sets_of_pictures_are_named_with_extractor_and_count(evidence):
    found = {name: one for name, one in table(evidence).items() if one.group == "distribution"}
    assert set(found) == {"fid", "softmax_fid", "kid", "inception_score"}
    for one in found.values():
        assert "the tower" in one.note
        assert "N=4" in one.label
    assert "softmax, N=4" in found["softmax_fid"].label
    assert found["softmax_fid"].value <= 2 + 1e-6
    assert found["inception_score"].value >= 1


def test_inception_is_used_when_it_is_there(evidence):
    def with_deep(found):
        return replace(found, deep=(torch.randn(len(found), 8), torch.randn(len(found), 5)))

    torch.manual_seed(0)
    shots = tuple(replace(one, drawn=with_deep(one.drawn), base=with_deep(one.base)) for one in evidence.shots)
    deep = replace(evidence.instruments, deep=type("D", (), {"name": "Inception v3 (1008 classes)"})())
    changed = replace(evidence, shots=shots, training=with_deep(evidence.training), instruments=deep)
    assert "Inception v3" in table(changed)["fid"].note
    assert table(changed)["fid"].value != pytest.approx(table(evidence)["fid"].value)


def test_it_is_all_json(evidence):
    text = json.dumps([asdict(one) for one in measures(evidence)], allow_nan=False)
    assert "NaN" not in text
    assert json.dumps([scores(shot, evidence) for shot in evidence.shots], allow_nan=False)


def test_the_same_pictures_give_the_same_figures(evidence):
    before = torch.random.get_rng_state()
    assert measures(evidence) == measures(evidence)
    assert torch.equal(before, torch.random.get_rng_state()), "the training's chance was disturbed"


# What cannot be measured -----------------------------------------------------------------------------------------------


def blind(found):
    return replace(found, read={}, identity=None)


def test_without_judge_and_probe_clip_stands_in(evidence):
    shots = tuple(replace(one, drawn=blind(one.drawn), base=blind(one.base)) for one in evidence.shots)
    beach = replace(
        shots[1], prompt=replace(shots[1].prompt, place="on the beach"), text=one_hot(4), drawn=shots[1].drawn
    )
    changed = Evidence(
        shots=(*shots[:2], beach, shots[2]), training=blind(evidence.training), instruments=instruments(words=Words())
    )
    found = table(changed)
    assert "identity" not in found
    assert "CLIP-I" in found["drift"].label
    assert found["wrong_context"].value == 0.5  # each caption has one picture of its own and one of the other
    assert "entanglement" not in found
    assert any("No probe" in one for one in caveats(changed))
    assert any("No judge" in one for one in caveats(changed))


def test_a_pack_without_portrait_and_class_lacks_their_rows(evidence):
    """Subject2Subject's twenty are all contexts."""
    found = table(replace(evidence, shots=evidence.shots[1:2]))
    assert "identity" not in found
    assert found["identity_context"].n == 2
    assert not any(one.group == "class" for one in found.values())
    assert found["clip_score"].floor is None
    assert found["entanglement"].ceiling is None


def test_one_training_picture_gives_no_distribution(evidence):
    alone = replace(evidence.training, features=evidence.training.features[:1], identity=torch.ones(1))
    found = table(replace(evidence, training=alone))
    assert "fid" not in found
    assert found["clip_i"].ceiling is None
    assert found["nearest"].value is not None


def test_one_picture_a_prompt_has_no_interval(evidence):
    def first(found):
        return Look(
            features=found.features[:1],
            read={slot: words[:1] for slot, words in found.read.items()},
            identity=found.identity[:1],
        )

    shots = tuple(replace(one, drawn=first(one.drawn), base=first(one.base)) for one in evidence.shots)
    found = table(replace(evidence, shots=shots))
    assert found["identity"].low is None
    assert found["diversity"].value is None
    assert found["diversity_kept"].value is None


def test_scores_of_a_prompt(evidence):
    found = scores(evidence.shots[1], evidence)
    assert found["place"] == 0.5
    assert found["base_place"] == 1
    assert found["clip"] == pytest.approx(50)
    assert found["identity"] == pytest.approx(0.7)
    assert "place" not in scores(evidence.shots[2], evidence)


def test_looking_asks_every_instrument():
    images = torch.zeros(3, 3, 8, 8)
    known = Instruments(
        extractor="x",
        image=lambda found: torch.ones(len(found), 4),
        text=lambda captions: torch.ones(len(captions), 4),
        read=lambda found: {"place": ["here"] * len(found)},
        identity=lambda found: torch.full((len(found),), 0.5),
        deep=None,
    )
    found = look(images, known)
    assert len(found) == 3
    assert (found.read["place"], found.identity.tolist(), found.deep) == (["here"] * 3, [0.5] * 3, None)


# Prompts ----------------------------------------------------------------------------------------------------------------


def test_the_quick_pack_asks_three_questions():
    prompts = prompts_of("quick", PLAN, WORLD)
    assert [one.role for one in prompts] == [SUBJECT, CONTEXT, CONTEXT, CONTEXT, CLASS]
    assert prompts[0].text == "a photo of sks cat"
    assert prompts[1].text == "a sks cat in the snow"
    assert prompts[1].caption == prompts[1].base_text == "a cat in the snow"
    assert prompts[0].base_text == "a photo of sks cat"  # what the token drew before
    assert prompts[-1].text == "a cat"


def test_the_full_pack_goes_everywhere_the_model_knows():
    prompts = prompts_of("full", PLAN, WORLD)
    assert {one.place for one in prompts if one.role == CONTEXT} == set(WORLD.places)
    assert [(one.text, one.wear) for one in prompts if one.role == WEAR] == [
        ("a sks cat wearing a red hat", "hat"),
        ("a sks cat wearing a blue hat", "hat"),
        ("a sks cat wearing an astronaut helmet", "astronaut helmet"),
    ]
    assert {one.colour for one in prompts if one.colour} == {"red", "blue"}
    assert prompts[-1].role == CLASS
    assert any("painting" in one.text for one in prompts_of("full", PLAN))
    assert not any("painting" in one.text for one in prompts)


def test_subject2subjects_twenty():
    prompts = prompts_of("subject2subject", PLAN, WORLD)
    assert len(prompts) == len(SUBJECT2SUBJECT) == 20
    assert prompts[1].text == "a sks cat in the snow"
    assert prompts[-1].text == "a sks cat sleeping on a bed"
    assert [one.place for one in prompts[:3]] == ["", "in the snow", "on the beach"]  # no jungle in this world
    assert all(one.text.startswith("a sks cat ") for one in prompts)


def test_an_embedding_is_called_by_its_name_alone():
    plan = replace(PLAN, method="textual_inversion", name="my-cat")
    assert subject_of(plan) == "my-cat"
    assert prompts_of("quick", plan)[1].text == "a my-cat in the snow"
    assert prompts_of("quick", plan)[1].caption == "a cat in the snow"


@pytest.mark.parametrize("pack", PACKS)
def test_without_a_noun_there_still_is_something_to_draw(pack):
    for prompt in prompts_of(pack, replace(PLAN, class_noun="")):
        assert prompt.text.strip()
        assert prompt.caption
