"""The judge and the identity probe as files and as what they answer; how well they read is tested in tests/starter."""

import json

import pytest
import torch

from modules.core.errors import InvalidModelFile
from modules.families import single_file
from modules.families.judge import (
    ANSWERS,
    SLOTS,
    IdentityProbe,
    Judge,
    Marks,
    Signature,
    load_identity,
    load_judge,
    save_identity,
    save_judge,
)

NONE = Marks()
LEFT, RIGHT = (Marks(kind="streak", colour="blue", side=side) for side in ("left", "right"))
RING = Marks(kind="zigzag", colour="pink")
KNOWN = (NONE, LEFT, RIGHT, RING)


@pytest.fixture
def judge():
    torch.manual_seed(1)
    return Judge({"subject": ("cat", "dog"), "wear": ("", "hat", "crown")}, widths=(8, 8, 16, 128)).eval()


@pytest.fixture
def images():
    return torch.randn(3, 3, 128, 128, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)


class Saying(IdentityProbe):
    """A probe that says what it is told: one row of probabilities for each picture."""

    def __init__(self, *rows):
        super().__init__(KNOWN, widths=(8, 8))
        self.rows = torch.tensor(rows)

    def forward(self, images):
        return self.rows[: len(images)].log()


def probed(*rows):
    return Saying(*rows), torch.zeros(len(rows), 3, 128, 128)


# The judge -----------------------------------------------------------------------------------------------------------


def test_the_judge_answers_with_its_words(judge, images):
    answers = judge.read(images)
    assert set(answers) == {"subject", "wear"}
    assert all(word in judge.slots[slot] for slot, words in answers.items() for word in words)
    assert [len(words) for words in answers.values()] == [3, 3]
    assert judge(images)["wear"].shape == (3, 3)


def test_a_picture_is_read_the_same_in_any_batch(judge, images):
    together = judge(images)["subject"]
    alone = torch.cat([judge(one[None])["subject"] for one in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_judge_comes_back_from_its_file(images, tmp_path):
    torch.manual_seed(1)
    judge = Judge({"subject": ("cat", "dog"), "wear": ("", "hat", "crown")}).eval()
    save_judge(judge, tmp_path / "judge.safetensors")
    again = load_judge(tmp_path / "judge.safetensors")
    assert again.slots == judge.slots
    assert torch.allclose(again(images)["wear"], judge(images)["wear"], atol=0.01)
    assert not any(one.requires_grad for one in again.parameters())


# The probe: files -------------------------------------------------------------------------------------------------------


def test_the_probe_comes_back_from_its_file(images, tmp_path):
    probe = IdentityProbe(KNOWN, widths=(8, 16)).eval()
    probe.figures = {"accuracy_restored": 0.9}
    save_identity(probe, tmp_path / "identity.safetensors")
    again = load_identity(tmp_path / "identity.safetensors")
    assert again.answers == KNOWN
    assert again.figures == {"accuracy_restored": 0.9}
    assert torch.allclose(again.probabilities(images), probe.probabilities(images), atol=0.01)
    assert again.probabilities(images).sum(dim=1) == pytest.approx(torch.ones(3).numpy())


@pytest.mark.parametrize("load", [load_judge, load_identity])
def test_another_file_is_refused(load, tmp_path):
    path = tmp_path / "other.safetensors"
    single_file.save(path, {"x": torch.zeros(1)}, {"title": "something else"})
    with pytest.raises(InvalidModelFile, match="does not say what it can answer"):
        load(path)


@pytest.mark.parametrize(
    ("load", "about"),
    [(load_judge, {SLOTS: json.dumps({"subject": ["cat"]})}), (load_identity, {ANSWERS: json.dumps([["", "", ""]])})],
)
def test_weights_that_do_not_fit_the_answers_are_refused(load, about, tmp_path):
    path = tmp_path / "cut.safetensors"
    single_file.save(path, {"body.0.weight": torch.zeros(8, 3, 3, 3)}, about)
    with pytest.raises(InvalidModelFile, match="does not fit"):
        load(path)


# The probe: whom it knows -----------------------------------------------------------------------------------------------


def test_a_subject_is_known_by_the_marks_its_pictures_share():
    probe, images = probed([0.1, 0.8, 0.05, 0.05], [0.05, 0.9, 0.05, 0.0001])
    signature = probe.signature(images)
    assert signature == Signature(marks=LEFT, answers=(1,))
    assert str(signature.marks) == "blue streak (left)"
    assert probe.score(images, signature).tolist() == pytest.approx([0.8, 0.9], abs=1e-3)


def test_marks_seen_on_either_side_count_on_either_side():
    """A subject that turns around in its pictures."""
    probe, images = probed([0.1, 0.8, 0.05, 0.05], [0.1, 0.05, 0.8, 0.05])
    signature = probe.signature(images)
    assert signature == Signature(marks=Marks(kind="streak", colour="blue"), answers=(1, 2))
    assert str(signature.marks) == "blue streak"
    assert probe.score(images, signature).tolist() == pytest.approx([0.85, 0.85], abs=1e-3)


def test_marks_in_the_middle_have_no_side():
    probe, images = probed([0.1, 0.05, 0.05, 0.8])
    assert probe.signature(images) == Signature(marks=RING, answers=(3,))


@pytest.mark.parametrize(
    "rows",
    [
        [[0.9, 0.05, 0.03, 0.02]],  # no marks
        [[0.4, 0.2, 0.1, 0.3]],  # some, but nobody knows which
        [[0.98, 0.01, 0.005, 0.005], [0.1, 0.8, 0.05, 0.05]],  # in one of two pictures only
    ],
)
def test_a_subject_without_marks_that_its_pictures_share_has_no_signature(rows):
    probe, images = probed(*rows)
    assert probe.signature(images) is None


def test_a_picture_without_the_marks_scores_nothing():
    probe, images = probed([0.97, 0.01, 0.01, 0.01], [0.01, 0.01, 0.01, 0.97])
    assert probe.score(images, Signature(marks=LEFT, answers=(1,))).tolist() == pytest.approx([0.01, 0.01], abs=1e-3)
