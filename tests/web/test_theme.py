"""The colours: every text can be read on every ground it stands on."""

import re

import pytest

from modules.web.theme import DARK, LIGHT, colour_variables, theme

TEXTS = {
    "text": ("ground", "surface", "field", "stage", "accent-soft", "problem-soft"),
    "quiet": ("ground", "surface", "field", "stage", "problem-soft"),
    "accent-text": ("ground", "surface", "accent-soft"),
    "problem": ("ground", "surface"),
    "on-accent": ("accent", "accent-strong"),
}
PAIRS = [(text, ground) for text, grounds in TEXTS.items() for ground in grounds]
LEAST = 4.5  # WCAG 2.2, 1.4.3


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_is_right():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(look, text, ground):
    assert contrast(look[text], look[ground]) >= LEAST


def test_both_looks_name_the_same_colours():
    assert LIGHT.keys() == DARK.keys()


def test_every_colour_of_the_style_sheet_is_named():
    css = theme()._get_theme_css() + colour_variables()
    used = set(re.findall(r"var\(--at-([\w-]+)\)", css))
    assert used <= LIGHT.keys()


def test_the_theme_asks_no_foreign_host():
    css = theme()._get_theme_css()
    assert "fonts.g" not in css
    assert not re.search(r"url\(['\"]?https?:", css)
