"""Styles: merging, taking apart again, and the CSV file."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.styles import Style, read_styles, with_styles, without_styles, write_styles

INK = Style("ink", "ink drawing of {prompt}, white paper", "colour")
SHARP = Style("sharp", "sharp, 8k", "blurry")
ONLY_NEGATIVE = Style("clean", "", "lowres")


@pytest.mark.parametrize(
    ("prompt", "negative", "styles", "expected"),
    [
        ("a cat", "bad", [], ("a cat", "bad")),
        ("a cat", "", [SHARP], ("a cat, sharp, 8k", "blurry")),
        ("", "bad", [SHARP], ("sharp, 8k", "bad, blurry")),
        ("a cat ", " bad", [SHARP], ("a cat, sharp, 8k", "bad, blurry")),
        ("a cat", "", [INK], ("ink drawing of a cat, white paper", "colour")),
        ("a cat", "", [INK, SHARP], ("ink drawing of a cat, white paper, sharp, 8k", "colour, blurry")),
        ("a cat", "", [SHARP, INK], ("ink drawing of a cat, sharp, 8k, white paper", "blurry, colour")),
        (" a cat ", "bad", [ONLY_NEGATIVE], (" a cat ", "bad, lowres")),
        ("x", "", [Style("two", "{prompt} and {prompt}")], ("x and x", "")),
        ("a cat", "", [Style("nothing")], ("a cat", "")),
    ],
)
def test_merging(prompt, negative, styles, expected):
    assert with_styles(prompt, negative, styles) == expected


@pytest.mark.parametrize(
    ("prompt", "negative", "expected"),
    [
        ("a cat, sharp, 8k", "bad, blurry", ("a cat", "bad", ("sharp",))),
        ("sharp, 8k", "blurry", ("", "", ("sharp",))),
        ("a cat, sharp, 8k", "bad", ("a cat, sharp, 8k", "bad", ())),  # both texts or neither
        ("a catsharp, 8k", "bad, blurry", ("a catsharp, 8k", "bad, blurry", ())),
        ("ink drawing of a cat, white paper", "colour", ("a cat", "", ("ink",))),
        ("ink drawing of , white paper", "colour", ("", "", ("ink",))),
        ("ink drawing o, white paper", "colour", ("ink drawing o, white paper", "colour", ())),
        ("a cat", "bad, lowres", ("a cat", "bad", ("clean",))),
        ("ink drawing of a cat, sharp, 8k, white paper", "blurry, colour", ("a cat", "", ("sharp", "ink"))),
        ("a cat, sharp, 8k, sharp, 8k", "blurry, blurry", ("a cat", "", ("sharp", "sharp"))),
        ("a cat", "", ("a cat", "", ())),
    ],
)
def test_taking_apart(prompt, negative, expected):
    assert (
        without_styles(prompt, negative, [SHARP, INK, ONLY_NEGATIVE, Style("nothing"), Style("all", "{prompt}")])
        == expected
    )


def test_of_styles_that_end_alike_the_longest_is_found():
    styles = [Style("short", "8k"), Style("long", "sharp, 8k")]
    assert without_styles("a cat, sharp, 8k", "", styles) == ("a cat", "", ("long",))


word = st.text("abcd", min_size=1, max_size=6)


@given(
    word,
    word,
    st.lists(
        st.builds(Style, name=word, prompt=word.map("s {}".format), negative_prompt=word.map("n {}".format)),
        max_size=4,
        unique_by=lambda style: (style.prompt, style.negative_prompt),
    ),
)
def test_what_was_merged_comes_apart(prompt, negative, styles):
    merged = with_styles(prompt, negative, styles)
    assert without_styles(*merged, styles) == (prompt, negative, tuple(style.name for style in styles))


# The file -------------------------------------------------------------------------------------------------------------


def test_the_file_is_written_as_the_field_does():
    assert write_styles([Style("ink", "a, b", 'say "no"\nplease'), Style("none")]) == (
        '\ufeffname,prompt,negative_prompt\r\nink,"a, b","say ""no""\nplease"\r\nnone,,\r\n'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("name,prompt,negative_prompt\n", []),
        ("name,prompt,negative_prompt\r\nink,a,b\r\n", [Style("ink", "a", "b")]),
        ("\ufeffname,prompt,negative_prompt\nink,a,b", [Style("ink", "a", "b")]),
        ("name,text\nold,a cat\n", [Style("old", "a cat", "")]),
        ("name,prompt\nshort\n", [Style("short", "", "")]),
        ("name,prompt,negative_prompt\nlong,a,b,c,d\n", [Style("long", "a", "b")]),
        ("negative_prompt,name,prompt\nb,ink,a\n", [Style("ink", "a", "b")]),
        ("name,prompt,negative_prompt\n,a,b\n\nink,a,b\n", [Style("ink", "a", "b")]),
        (
            "name,prompt,negative_prompt\nink,a,b\nsharp,c,d\nink,e,f\n",
            [Style("ink", "e", "f"), Style("sharp", "c", "d")],
        ),
        ("some\ntext", []),
    ],
)
def test_files_of_the_field_are_read(text, expected):
    assert read_styles(text) == expected


def test_a_file_that_is_no_table_says_so():
    with pytest.raises(ValueError, match="name, prompt, negative_prompt"):
        read_styles(f'name,prompt\nx,"{"y" * csv.field_size_limit()}y')


style = st.builds(
    Style,
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff"), min_size=1, max_size=20),
    prompt=st.text(st.characters(exclude_categories=["Cs"])),
    negative_prompt=st.text(st.characters(exclude_categories=["Cs"])),
)


@given(st.lists(style, max_size=5, unique_by=lambda style: style.name))
def test_what_is_written_is_read_again(styles):
    assert read_styles(write_styles(styles)) == styles
