"""Texts of every script, and texts that are none, through everything that reads a prompt."""

import unicodedata

import pytest

from modules.core.requests import ImageRequest
from modules.prompts.attention import parse_attention
from modules.prompts.chunks import chunks, count
from modules.prompts.comments import without_comments
from modules.prompts.composition import split_and
from modules.prompts.counting import longest_count
from modules.prompts.infotext import parse_infotext, write_infotext
from modules.prompts.networks import cut_networks
from modules.prompts.pasted import values_of
from modules.prompts.schedule import schedule
from modules.prompts.styles import Style, read_styles, with_styles, without_styles, write_styles
from modules.prompts.wildcards import resolved

TEXTS = {
    "chinese": "一只猫，在垫子上",
    "arabic": "قطة على سجادة",
    "right to left mark": "a \u202ecat\u202c b",
    "hebrew": "חתול על מחצלת",
    "thai": "แมวบนเสื่อ",
    "combining": "e" + "\u0301" * 10_000,
    "composed": unicodedata.normalize("NFC", "café Å"),
    "decomposed": unicodedata.normalize("NFD", "café Å"),
    "family": "👨‍👩‍👧‍👦 at home",
    "flags": "🇩🇪🇯🇵",
    "astral": "𝕬 𓂀 𠜎",
    "ligatures": "ﬁne ǆ ß ẞ",
    "zero width": "a\u200bb\u2060c\ufeffd",
    "line marks": "a\u2028b\u2029c\u0085d\x0be",
    "full width marks": "（word：1.2）［a｜b］",
    "controls": "a\x01\x02\x1b[0m b",
    "private": "\ue000\uf8ff\U0010ffff",
}
EVERY = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
NO_TEXT = ["\ud800", "a\udfffb", "\ude00\ud83d", "a\0b"]


@EVERY
def test_what_means_nothing_stays_as_it_is(text):
    plain = text.replace("[", "")
    assert without_comments(text) == text
    assert cut_networks(text) == (text, ())
    assert [part.text for part in split_and(text)] == [text.rstrip()]
    assert [one.text for one in schedule(text, 9)] == [text]
    assert resolved(text, 1, {}) == text
    assert "".join(piece.text for piece in parse_attention(plain)) == plain


@EVERY
def test_marks_around_any_text_mean_what_they_mean(text):
    plain = text.replace("[", "").strip()
    assert [one.text for one in schedule(f"[{plain}:x:5]", 9)] == [plain, "x"]
    assert parse_attention(f"({plain}:1.5)")[0].text == plain
    assert resolved(f"{{{plain}|{plain}}}", 1, {}) == plain
    assert resolved("__猫__", 1, {"猫": [text]}) == text
    assert cut_networks(f"<lora:{text}:0.5>")[1][0].name == text


@EVERY
def test_a_picture_s_text_gives_it_back(text):
    line = text.strip()
    written = write_infotext(line, line, {"Steps": 20, "Sampler": "Euler", "Seed": 5, "Hires prompt": f"{line}, x"})
    found = parse_infotext(written)
    assert (found["Prompt"], found["Negative prompt"], found["Hires prompt"]) == (line, line, f"{line}, x")
    assert values_of(found, ImageRequest)["prompt"] == line


@EVERY
def test_styles_keep_it(text):
    style = Style(text[:20], text.strip(), text.strip())
    assert read_styles(write_styles([style])) == [style]
    assert without_styles(*with_styles("a", "b", [style]), [style]) == ("a", "b", (style.name,))


@EVERY
def test_it_has_tokens(tokenizer, text):
    used, limit = longest_count(text, tokenizer)
    assert 0 < used <= limit
    assert (used, limit) == count(text, tokenizer)
    assert sum(chunk.tokens.count(tokenizer.end) for chunk in chunks(text, tokenizer)) >= 1


@pytest.mark.parametrize("text", NO_TEXT)
def test_what_is_no_text_breaks_nothing(tokenizer, text):
    """It is refused where it comes in; until then nothing may fall over."""
    assert longest_count(f"({text}:1.2) [a:{text}:5] AND {{{text}|b}}", tokenizer)[0] > 0
    assert schedule(text, 3)[0].text == text
    assert resolved(text, 1, {}) == text
    assert parse_infotext(f"{text}\nSteps: 1, Sampler: {text}, Seed: 2")["Sampler"] == text
