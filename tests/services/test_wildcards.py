"""The wildcards folder."""

import os

import pytest

from modules.core.image_fields import LONGEST_PROMPT
from modules.prompts.wildcards import resolved
from modules.services.wildcards import MOST_BYTES, Wildcards


@pytest.fixture
def folder(tmp_path):
    files = {
        "pets.txt": "# pets of the house\ncat\n\n  dog  \n#fish\n",
        "colours/warm.txt": "red\norange",
        "colours/cold.txt": "blue\r\ngreen\r\n",
        "colours/deep/dark.txt": "black",
        "Mood.TXT": "happy",
        "list.csv": "not,read",
        "notes": "not read",
        ".hidden.txt": "not read",
        ".git/config.txt": "not read",
    }
    root = tmp_path / "wildcards"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return root


@pytest.fixture
def lists(folder):
    return Wildcards(folder).now()


def test_text_files_at_any_depth_are_listed_and_nothing_hidden(folder):
    assert Wildcards(folder).names() == ("Mood", "colours/cold", "colours/deep/dark", "colours/warm", "pets")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("pets", ["cat", "dog"]),
        ("colours/warm", ["red", "orange"]),
        ("colours/cold", ["blue", "green"]),
        ("COLOURS/Warm", ["red", "orange"]),
        ("mood", ["happy"]),
        ("/pets/", ["cat", "dog"]),
        ("colours/*", ["blue", "green", "red", "orange"]),
        ("colours/**", ["blue", "green", "black", "red", "orange"]),
        ("**/dark", ["black"]),
        ("**", ["happy", "blue", "green", "black", "red", "orange", "cat", "dog"]),
        ("*", ["happy", "cat", "dog"]),
        ("p?ts", ["cat", "dog"]),
        ("c*/w*m", ["red", "orange"]),
        ("colours/**/dark", ["black"]),
        ("warm", None),
        ("colours", None),
        ("x*", None),
        ("", None),
        ("../wildcards/pets", None),
        ("colours/../pets", None),
        ("list", None),
        ("list.csv", None),
        (".hidden", None),
        (".git/config", None),
    ],
)
def test_lines(lists, name, lines):
    found = lists.get(name)
    assert (list(found) if found is not None else None) == lines


def test_two_names_that_differ_in_case_are_two(folder):
    (folder / "Pets.txt").write_text("lion")
    lists = Wildcards(folder).now()
    if len(lists.names) == 6:  # not on a disk that takes them for one
        assert lists.get("Pets") == ["lion"]
        assert lists.get("pets") == ["cat", "dog"]


def test_links_that_lead_outside_are_not_followed(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key.txt").write_text("secret")
    os.symlink(tmp_path / "secret.txt", folder / "leak.txt")
    os.symlink(tmp_path / "secrets", folder / "leaks")
    os.symlink(folder / "pets.txt", folder / "alias.txt")
    os.symlink(folder / "nowhere.txt", folder / "broken.txt")
    lists = Wildcards(folder).now()
    assert lists.get("leak") is None
    assert lists.get("leaks/key") is None
    assert lists.get("broken") is None
    assert lists.get("alias") == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"\xef\xbb\xbfcat\n", ["cat"]),
        ("katze\nkäfer".encode("latin-1"), ["katze", "käfer"]),
        ("猫\n犬".encode(), ["猫", "犬"]),
        (b"c\0at\n", ["cat"]),
        (b"", []),
        (b"x" * (LONGEST_PROMPT + 1) + b"\nshort", ["short"]),
        (b"ok\n" + b"\n" * MOST_BYTES + b"late", ["ok"]),
    ],
)
def test_any_bytes_are_read(folder, content, lines):
    (folder / "odd.txt").write_bytes(content)
    assert Wildcards(folder).now().get("odd") == lines


def test_a_file_that_goes_away_meanwhile_has_no_lines(folder):
    lists = Wildcards(folder).now()
    (folder / "pets.txt").unlink()
    assert not lists.get("pets")


def test_a_change_is_seen_the_next_time(folder):
    wildcards = Wildcards(folder)
    before = wildcards.now()
    assert before.get("pets") == ["cat", "dog"]
    (folder / "pets.txt").write_text("snake")
    assert before.get("pets") == ["cat", "dog"]  # one request sees one state
    assert wildcards.now().get("pets") == ["snake"]


def test_the_folder_need_not_exist(tmp_path):
    assert Wildcards(tmp_path / "none").names() == ()
    assert Wildcards(tmp_path / "none").now().get("x") is None


def test_prompts_draw_from_the_folder(lists):
    drawn = {resolved("a __colours/*__ __pets__", seed, lists) for seed in range(100)}
    assert drawn == {f"a {colour} {pet}" for colour in ("red", "orange", "blue", "green") for pet in ("cat", "dog")}


def test_a_hostile_pattern_is_no_trouble(folder):
    (folder / f"{'a' * 200}.txt").write_text("x")
    assert Wildcards(folder).now().get("*a" * 90 + "b") is None
    assert Wildcards(folder).now().get("**/" * 60 + "b") is None
