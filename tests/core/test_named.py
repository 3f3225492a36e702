"""Names: how they are compared, claimed and looked up."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.core.errors import NameTaken, UnknownName
from modules.core.named import Names, closest, folded


@dataclass(frozen=True)
class Thing:
    name: str
    aliases: tuple[str, ...] = ()


FIELD = [
    Thing("DPM++ 2M", ("k_dpmpp_2m",)),
    Thing("Euler a", ("k_euler_a", "k_euler_ancestral")),
    Thing("DDIM", ("ddim",)),
]


@pytest.mark.parametrize("written", ["DPM++ 2M", "dpm++ 2m", "DPM++2M", " dpm++_2M ", "K_DPMPP_2M", "k-dpmpp-2m"])
def test_case_spaces_and_dashes_do_not_count(written):
    assert Names("sampler", FIELD).find(written).name == "DPM++ 2M"


def test_plus_signs_count():
    with pytest.raises(UnknownName):
        Names("sampler", FIELD).find("DPM 2M")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DPM++ 2N", "DPM++ 2M"),
        ("Euler", "Euler a"),
        ("Eular a", "Euler a"),
        ("DDMI", "DDIM"),
        ("xyz", None),
        ("", None),
    ],
)
def test_an_unknown_name_gets_the_nearest_as_suggestion(written, meant):
    with pytest.raises(UnknownName) as caught:
        Names("sampler", FIELD).find(written)
    assert caught.value.suggestion == meant
    assert ("did you mean" in str(caught.value)) == (meant is not None)


def test_a_long_name_is_cut_in_the_sentence():
    with pytest.raises(UnknownName) as caught:
        Names("sampler", FIELD).find("x" * 100_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "second", [Thing("ddim"), Thing("New", ("DDIM",)), Thing("New", ("Ddim",)), Thing("k_euler_a")]
)
def test_a_name_is_claimed_once(second):
    names = Names("sampler", FIELD)
    with pytest.raises(NameTaken, match="taken already, by"):
        names.claim(second)
    assert list(names) == [thing.name for thing in FIELD]


def test_an_alias_may_repeat_ones_own_name():
    assert Names("sampler", [Thing("DDIM", ("ddim",))]).find("DdIm").name == "DDIM"


def test_order_is_that_of_registration_and_lookup_by_index_is_exact():
    names = Names("sampler", FIELD)
    assert [names[name] for name in names] == FIELD
    assert len(names) == 3
    with pytest.raises(KeyError):
        names["ddim "]


@given(st.text(max_size=50))
def test_folding_twice_changes_nothing(text):
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=20))
def test_a_suggestion_is_always_one_of_the_names(text, names):
    assert closest(text, names) in {*names, None}
