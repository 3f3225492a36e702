"""The tables of docs/prompts.md are true."""

import re
from pathlib import Path

import pytest

from modules.core.image_fields import LONGEST_PROMPT
from modules.prompts.attention import parse_attention
from modules.prompts.composition import split_and
from modules.prompts.counting import longest_count
from modules.prompts.networks import cut_networks
from modules.prompts.schedule import schedule
from modules.prompts.styles import Style, with_styles
from modules.prompts.wildcards import DEEPEST, MOST_DRAWS, resolved
from modules.services.texts import MOST_BREAKS, MOST_PARTS
from modules.services.wildcards import Wildcards

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")


def rows(heading):
    """The rows of the tables of a section; every cell as what stands in `code`, with the rest of it."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for table in re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", section, re.MULTILINE):
        for line in table.splitlines():
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code(cell):
    return re.findall(r"`([^`]*)`", cell)


def weighted(cell):
    return [(text, float(weight)) for text, weight in re.findall(r"`([^`]*)` (-?[0-9.]+)", cell)]


def intervals(cell):
    return [(int(step), text) for text, step in re.findall(r"`([^`]*)` up to step ([0-9]+)", cell)]


def all_rows(*headings):
    return [pytest.param(*row, id=row[0]) for heading in headings for row in rows(heading)]


@pytest.mark.parametrize(("prompt", "pieces"), all_rows("Attention"))
def test_attention(prompt, pieces):
    found = [(piece.text, round(piece.weight, 4)) for piece in parse_attention(code(prompt)[0])]
    assert found == weighted(pieces)


@pytest.mark.parametrize(("prompt", "texts"), all_rows("Prompt editing", "Alternation"))
def test_editing(prompt, texts):
    steps = intervals(texts)[-1][0]
    base = 20 if steps == 10 else None
    found = schedule(code(prompt)[0], steps, base_steps=base)
    assert [(one.end_at, one.text) for one in found] == intervals(texts)


@pytest.mark.parametrize(("prompt", "parts"), all_rows("Composition"))
def test_composition(prompt, parts):
    assert [(part.text, part.weight) for part in split_and(code(prompt)[0])] == weighted(parts)


@pytest.mark.parametrize(("prompt", "counter"), all_rows("Chunks and BREAK"))
def test_counter(tokenizer, prompt, counter):
    assert "{}/{}".format(*longest_count(code(prompt)[0], tokenizer)) == counter


@pytest.mark.parametrize(("tag", "text_encoder", "unet"), all_rows("Networks"))
def test_networks(tag, text_encoder, unet):
    _, (network,) = cut_networks(code(tag)[0])
    assert (network.text_encoder, network.unet) == (float(text_encoder), float(unet))


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wildcards")
    (folder / "colours").mkdir()
    (folder / "colours" / "warm.txt").write_text("red\norange\n")
    (folder / "colours" / "cold.txt").write_text("blue\n")
    (folder / "pet.txt").write_text("cat\n__colours/warm__ fish\n")
    return Wildcards(folder).now()


@pytest.mark.parametrize(("prompt", "outcomes"), all_rows("Variants", "Wildcards"))
def test_draws(lists, prompt, outcomes):
    (text,) = code(prompt)
    assert {resolved(text, seed, lists) for seed in range(400)} == set(code(outcomes))


@pytest.mark.parametrize(("prompt", "style", "merged"), all_rows("Styles"))
def test_styles(prompt, style, merged):
    found, _ = with_styles("".join(code(prompt)), "", [Style("x", code(style)[0])])
    assert [found] == code(merged)


def test_limits():
    assert f"at most {LONGEST_PROMPT:,} characters, {MOST_PARTS} parts and {MOST_BREAKS} `BREAK`s" in TEXT
    assert f"{DEEPEST} deep, and one text draws at most {MOST_DRAWS:,} lines" in TEXT
