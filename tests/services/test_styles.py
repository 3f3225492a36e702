"""The styles file."""

import threading

import pytest

from modules.core.errors import InvalidOption, InvalidRequest, NotFound
from modules.prompts.styles import Style
from modules.services.styles import Styles


@pytest.fixture
def file(tmp_path):
    return tmp_path / "styles.csv"


@pytest.fixture
def styles(file):
    return Styles(file)


def test_there_are_none_at_first(styles, file):
    assert styles.all() == []
    assert styles.chosen(()) == []
    assert not file.exists()


def test_a_style_is_kept_replaced_and_forgotten(styles, file):
    styles.save(Style("ink", "ink drawing", "colour"))
    styles.save(Style("sharp", "sharp, 8k"))
    styles.save(Style("ink", "ink, {prompt}"))
    assert styles.all() == [Style("ink", "ink, {prompt}"), Style("sharp", "sharp, 8k")]
    assert file.read_bytes() == (
        b'\xef\xbb\xbfname,prompt,negative_prompt\r\nink,"ink, {prompt}",\r\nsharp,"sharp, 8k",\r\n'
    )
    styles.delete("ink")
    assert styles.all() == [Style("sharp", "sharp, 8k")]
    with pytest.raises(NotFound, match="ink"):
        styles.delete("ink")


def test_styles_are_chosen_in_the_order_asked_for(styles):
    for name in "abc":
        styles.save(Style(name, name))
    assert [style.name for style in styles.chosen(["c", "a"])] == ["c", "a"]


def test_an_unknown_style_is_named_with_what_was_meant(styles):
    styles.save(Style("watercolour", "x"))
    with pytest.raises(InvalidRequest) as caught:
        styles.chosen(["watercolor", "watercolour", "zzz"])
    assert [problem.field for problem in caught.value.problems] == ["styles", "styles"]
    assert str(caught.value) == ("There is no style 'watercolor'; did you mean 'watercolour'? There is no style 'zzz'.")


def test_what_people_write_by_hand_is_seen_at_once(styles, file):
    file.write_text("name,prompt,negative_prompt\nhand,made,\n")
    assert styles.all() == [Style("hand", "made")]


def test_a_broken_file_is_neither_hidden_nor_overwritten(styles, file):
    file.write_bytes(b"name,prompt\n\xff\xfe,x")
    with pytest.raises(InvalidOption, match=r"styles\.csv cannot be read"):
        styles.all()
    with pytest.raises(InvalidOption):
        styles.save(Style("a", "b"))
    assert file.read_bytes() == b"name,prompt\n\xff\xfe,x"


@pytest.mark.parametrize(
    "style",
    [Style(""), Style("  "), Style("x" * 201), Style("two\nlines"), Style("a", "\0"), Style("a", "", "\ud800")],
)
def test_what_cannot_be_kept_is_refused(styles, file, style):
    with pytest.raises(InvalidRequest):
        styles.save(style)
    assert not file.exists()


def test_many_at_once(styles):
    threads = [threading.Thread(target=styles.save, args=(Style(f"s{n}", "x"),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {style.name for style in styles.all()} == {f"s{n}" for n in range(12)}
