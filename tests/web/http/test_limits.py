"""JSON and bodies at the limits."""

import json

import pytest

from modules.web.http.limits import DEEPEST, strict_json


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("value", [{}, [], None, 1, 1.5, "x", {"a": [1, {"b": None}]}, "猫\U0001f9d1", [[]] * 1000])
def test_ordinary_json(value):
    assert strict_json(json.dumps(value).encode()) == value


def test_as_deep_as_allowed():
    assert strict_json(nested(DEEPEST))
    with pytest.raises(json.JSONDecodeError):
        strict_json(nested(DEEPEST + 1))


def test_many_brackets_are_not_deep():
    assert len(strict_json(b"[" + b"[]," * 5000 + b"[]]")) == 5001


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b'{"a": -1e999}',
        b'"\\ud800"',
        b'["\\uDFFF"]',
        b'{"\\ud800": 1}',
        nested(99_999),
    ],
)
def test_what_is_not_read(raw):
    with pytest.raises(json.JSONDecodeError):
        strict_json(raw)


def test_pairs_of_surrogates_are_text():
    assert strict_json(b'"\\ud83e\\uddd1"') == "\U0001f9d1"
