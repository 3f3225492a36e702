"""Extra networks in prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.networks import Network, cut_networks, renamed_networks


@pytest.mark.parametrize(
    ("text", "rest", "tags"),
    [
        ("a cat", "a cat", []),
        ("a <lora:x> cat", "a  cat", [("lora", ("x",), {})]),
        ("<lora:x:0.5>", "", [("lora", ("x", "0.5"), {})]),
        ("<lora:x:0.5:0.7:8>,", ",", [("lora", ("x", "0.5", "0.7", "8"), {})]),
        ("<lora:x:unet=0.2>", "", [("lora", ("x",), {"unet": "0.2"})]),
        ("<lora:x:a=b=c>", "", [("lora", ("x", "a=b=c"), {})]),
        ("<lora:x:=:b=>", "", [("lora", ("x",), {"": "", "b": ""})]),
        ("<hypernet:anime:0.3>a", "a", [("hypernet", ("anime", "0.3"), {})]),
        ("<anything_1:some thing>", "", [("anything_1", ("some thing",), {})]),
        ("<a:b><c:d>", "", [("a", ("b",), {}), ("c", ("d",), {})]),
        ("[<lora:x:1>:cat:0.5]", "[:cat:0.5]", [("lora", ("x", "1"), {})]),
        ("(<lora:x:0.7>:1.2)", "(:1.2)", [("lora", ("x", "0.7"), {})]),
        ("<lora:a\nb>", "", [("lora", ("a\nb",), {})]),
        ("<lora:<lora:x>", "", [("lora", ("<lora", "x"), {})]),
        ("<lora:>", "<lora:>", []),
        ("<lora:>x<lora:y>", "<lora:>x", [("lora", ("y",), {})]),
        ("< lora:x>", "< lora:x>", []),
        ("<my-lora:x>", "<my-lora:x>", []),
        ("<lora>", "<lora>", []),
        ("<lora:x", "<lora:x", []),
        ("<:x>", "<:x>", []),
        ("a < b > c", "a < b > c", []),
    ],
)
def test_tags_are_cut(text, rest, tags):
    left, found = cut_networks(text)
    assert left == rest
    assert [(network.kind, network.positional, dict(network.named)) for network in found] == tags


@pytest.mark.parametrize(
    ("body", "text_encoder", "unet", "dyn"),
    [
        ("x", 1.0, 1.0, None),
        ("x:0.5", 0.5, 0.5, None),
        ("x:0.5:0.7", 0.5, 0.7, None),
        ("x:0.5:0.7:16", 0.5, 0.7, 16),
        ("x:te=0.2", 0.2, 0.2, None),
        ("x:unet=0.2", 1.0, 0.2, None),
        ("x:0.9:0.8:te=0.1:unet=0.2:dyn=4", 0.1, 0.2, 4),
        ("x:te=0.3:0.9", 0.3, 0.3, None),
        ("x:-1", -1.0, -1.0, None),
        ("x: 0.5 ", 0.5, 0.5, None),
    ],
)
def test_strengths(body, text_encoder, unet, dyn):
    _, (network,) = cut_networks(f"<lora:{body}>")
    assert (network.name, network.text_encoder, network.unet, network.dyn) == ("x", text_encoder, unet, dyn)
    assert not network.problem


@pytest.mark.parametrize("body", ["x:much", "x:", "x:nan", "x:1e999", "x:1:MIDD", "x:te=a", "x:unet="])
def test_a_strength_that_is_no_number_says_so_and_counts_as_nothing_said(body):
    _, (network,) = cut_networks(f"<lora:{body}>")
    assert "write <lora:x:0.8>" in network.problem
    assert network.text_encoder == network.unet == 1.0


@pytest.mark.parametrize("rank", ["", "a", "-1", "٣", "9" * 40, "1.5"])
def test_a_rank_that_is_no_number_is_none(rank):
    assert Network(kind="lora", positional=("x", "1", "1", rank)).dyn is None


def test_other_programs_arguments_do_no_harm():
    _, (network,) = cut_networks("<lora:x:0.8:lbw=OUTD:stop=12>")
    assert (network.unet, network.problem) == (0.8, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<lora:old:0.8>", "<lora:new:0.8>"),
        ("a<lora:old>b<lora:other:1>c<lyco:old:te=1>", "a<lora:new>b<lora:other:1>c<lyco:new:te=1>"),
        ("old <lora:old", "old <lora:old"),
        ("no tags", "no tags"),
        ("<lora:same:1>", "<lora:same:1>"),
    ],
)
def test_tags_can_be_given_other_names(text, expected):
    assert renamed_networks(text, {"old": "new", "same": "same"}) == expected


@given(st.text(st.sampled_from("<>:=ab1 -") | st.characters(), max_size=80))
def test_what_is_left_holds_no_tag_of_the_original_and_order_stays(text):
    rest, found = cut_networks(text)
    letters = iter(text)
    assert all(letter in letters for letter in rest)
    assert all(">" not in network.name and network.kind for network in found)
    assert renamed_networks(text, {}) == text
