"""Picture texts: the samples and the quoting table are observed behaviour, see tests/reference/README.md."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.infotext import DEFAULTS, FIRST_KEYS, parse_infotext, quoted, read_hashes, write_infotext
from modules.prompts.styles import Style, with_styles

SAMPLES = json.loads((Path(__file__).parent / "picture_texts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["name"] for sample in SAMPLES])
def test_observed_texts_are_read(sample):
    found = parse_infotext(sample["text"])
    assert {key: found[key] for key in sample["parsed"]} == sample["parsed"]
    filled_in = {key: value for key, value in found.items() if key not in sample["parsed"]}
    assert filled_in.items() <= DEFAULTS.items()


QUOTING = [
    ("plain", "plain"),
    ("a,b", '"a,b"'),
    ("a:b", '"a:b"'),
    ("a\nb", '"a\\nb"'),
    ('has "quote"', 'has "quote"'),
    ('has "quote", comma', '"has \\"quote\\", comma"'),
    (7, "7"),
    (0.5, "0.5"),
    (True, "True"),
    ("", ""),
    ("日本, x", '"日本, x"'),
    ("back\\slash", "back\\slash"),
    ("back\\slash, c", '"back\\\\slash, c"'),
]


@pytest.mark.parametrize(("value", "expected"), QUOTING)
def test_values_are_quoted_as_the_field_does(value, expected):
    assert quoted(value) == expected


def test_a_written_text_has_the_fields_order():
    pairs = {
        "Version": "atelier-1",
        "Emphasis": "No norm",
        "Seed": 7,
        "Sampler": "Euler a",
        "Steps": 20,
        "CFG scale": 7.0,
        "Size": "64x48",
        "Clip skip": None,
        "Schedule type": "Automatic",
        "Tiling": True,
        "Foo": "Foo",
    }
    assert write_infotext("a cat,\non a mat", "blurry", pairs) == (
        "a cat,\non a mat\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 7, Size: 64x48, Tiling: True, "
        "Emphasis: No norm, Foo, Version: atelier-1"
    )


@pytest.mark.parametrize(
    ("prompt", "negative", "begins"),
    [("", "blurry", "Negative prompt: blurry\nSteps: 1"), ("", "", "Steps: 1"), ("a", "", "a\nSteps: 1")],
)
def test_empty_prompts_leave_no_line(prompt, negative, begins):
    assert write_infotext(prompt, negative, {"Steps": 1}) == begins


PAIRS = {"Steps": 20, "Sampler": "Euler", "Seed": 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nAa: 1, Bb: 2, Cc: 3", {"Prompt": "a", "Aa": "1"}),  # eaten: the price of the format
        ("a\nNegative prompt: b\nSteps: 1, Seed: 2, Size: 3", {"Prompt": "a", "Negative prompt": "b"}),
        ("Negative prompt: a\nNegative prompt: b\nSteps: 1, Seed: 2, Eta: 3", {"Negative prompt": "a\nb"}),
        ("a\nSteps: 1, Seed: 2, Size: 3, x: 5, -y: 6", {"Prompt": "a", "Size": "3"}),
        ('a\nSteps: 1, Seed: 2, Name: "no json', {"Name": '"no json'}),
        ('a\nSteps: 1, Seed: 2, Name: "\\q, x"', {"Name": '"\\q, x"'}),
        ('a\nSteps: 1, Seed: 2, Name: "\\ud800, x"', {"Name": '"\\ud800, x"'}),
        ('a\nSteps: 1, Seed: 2, Name: "half" and half, Eta: 1', {"Name": '"half" and half', "Eta": "1"}),
        ('a\nSteps: 1, Seed: 2, Name: ""', {"Name": ""}),
        ("a\nSteps: 1, Seed: 2, Seed: 3", {"Seed": "3"}),
        (
            "a\r\nNegative prompt: b\r\nSteps: 1, Seed: 2, Eta: 3\r\n",
            {"Prompt": "a", "Negative prompt": "b", "Eta": "3"},
        ),
        ("a\n\nb\nNegative prompt:\nc\nSteps: 1, Seed: 2, Eta: 3", {"Prompt": "a\n\nb", "Negative prompt": "c"}),
        ("", {"Prompt": "", "Negative prompt": ""}),
    ],
)
def test_hazards(text, expected):
    found = parse_infotext(text)
    assert {key: found.get(key) for key in expected} == expected


SECOND = {
    "Hires prompt": 'a cat,\nmore: "detail" \\ <lora:x:1>',
    "Hires negative prompt": "bad\n\nworse",
    "Hires upscale": 2,
    "Hires upscaler": "R-ESRGAN 4x+",
    "TI hashes": "easyneg: c74b4e810b03",
    "Lora hashes": "my lora: 0123456789ab, other: ba9876543210",
    "Template": "a {red|blue} cat, __nice__",
    "Soft inpainting enabled": True,
    "Soft inpainting schedule bias": 1,
    "Refiner": "sd_xl_refiner_1.0 [7440042bbd]",
    "Mask mode": "Inpaint not masked",
}


def test_texts_with_breaks_and_marks_stay_on_the_line_and_come_back():
    written = write_infotext("a cat", "bad", PAIRS | SECOND)
    assert written.count("\n") == 2
    found = parse_infotext(written)
    assert {key: found[key] for key in SECOND} == {key: str(value) for key, value in SECOND.items()}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("plain  ", "plain  "),
        ('"no json', '"no json'),
        ('"quoted"', "quoted"),
        ('""', ""),
        ("12x34", None),
        ("a  b", "a  b"),
    ],
)
def test_values_that_do_not_come_back_as_they_are(value, read):
    found = parse_infotext(write_infotext("a", "", {"Custom": value, "Zeta": 1} | PAIRS))
    assert found.get("Custom") == read
    if read is None:
        assert (found["Custom-1"], found["Custom-2"]) == ("12", "34")


def test_a_prompt_line_that_looks_like_a_negative_prompt_becomes_one():
    found = parse_infotext(write_infotext("a\nNegative prompt: b", "c", PAIRS))
    assert (found["Prompt"], found["Negative prompt"]) == ("a", "b\nc")


def test_absent_keys_are_left_out_when_asked_for():
    text = write_infotext("a (cat)", "", PAIRS)
    assert parse_infotext(text, absent=False) == {
        "Steps": "20",
        "Sampler": "Euler",
        "Seed": "5",
        "Prompt": "a (cat)",
        "Negative prompt": "",
    }


def test_keys_can_be_left_out():
    found = parse_infotext(write_infotext("a", "", PAIRS), skip=("Seed", "Clip skip"))
    assert "Seed" not in found
    assert "Clip skip" not in found
    assert found["Steps"] == "20"


def test_old_behaviour_can_be_left_off():
    text = "a [b:c:2]\nSteps: 1, Sampler: DDIM, Seed: 2, Version: v1.5.2"
    assert parse_infotext(text)["Pad conds v0"] is True
    assert "Pad conds v0" not in parse_infotext(text, backward=False)


INK, SHARP = Style("ink", "ink drawing of {prompt}, paper", "colour"), Style("sharp", "sharp, 8k", "")


@pytest.mark.parametrize(
    ("hires", "left"),
    [
        (("", ""), ("", "")),
        (with_styles("a huge cat", "bad", [INK, SHARP]), ("a huge cat", "bad")),
        (with_styles("a huge cat", "bad", [INK]), with_styles("a huge cat", "bad", [INK])),  # not the same styles
        (("a huge cat", ""), ("a huge cat", "")),
    ],
)
def test_styles_are_cut_out_and_named(hires, left):
    prompt, negative = with_styles("a cat", "bad", [INK, SHARP])
    pairs = PAIRS | {"Hires prompt": hires[0] or None, "Hires negative prompt": hires[1] or None}
    found = parse_infotext(write_infotext(prompt, negative, pairs), styles=[SHARP, INK])
    assert (found["Prompt"], found["Negative prompt"]) == ("a cat", "bad")
    assert found["Styles array"] == ["ink", "sharp"]
    assert (found["Hires prompt"], found["Hires negative prompt"]) == left


def test_without_styles_there_is_no_list_of_them():
    assert "Styles array" not in parse_infotext(write_infotext("a cat", "", PAIRS), styles=[INK, SHARP])
    assert "Styles array" not in parse_infotext(write_infotext(*with_styles("a", "", [INK]), PAIRS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1, b: 2", {"a": "1", "b": "2"}),
        ("name with space:ff", {"name with space": "ff"}),
        ("", {}),
        ("a", {}),
        (": 1, b:, c: 3,", {"c": "3"}),
    ],
)
def test_hashes_are_read(text, expected):
    assert read_hashes(text) == expected


def test_a_key_of_one_letter_is_never_read():
    assert "x" not in parse_infotext("a\nSteps: 1, Seed: 2, Size: 3, x: 5")


@pytest.mark.parametrize(
    ("size", "first", "expected"),
    [
        ("1024x1024", "0x0", (512, 512, 1024, 1024)),
        ("1024x512", "0x0", (768, 384, 1024, 512)),
        ("1024x768", "512x384", (512, 384, 1024, 768)),
        ("0x0", "0x0", (0, 0, 0, 0)),
        (f"{'9' * 40}x8", "0x0", (0, 4096, 0, 8)),
    ],
)
def test_the_first_pass_of_old_texts_becomes_a_hires_size(size, first, expected):
    found = parse_infotext(f"a\nSteps: 1, Seed: 2, Size: {size}, First pass size: {first}")
    keys = ("Size-1", "Size-2", "Hires resize-1", "Hires resize-2")
    assert tuple(found[key] for key in keys) == expected


def test_a_hypernetwork_of_old_texts_becomes_a_tag():
    found = parse_infotext("a cat\nSteps: 1, Seed: 2, Hypernet: anime, Hypernet strength: 0.5")
    assert found["Prompt"] == "a cat<hypernet:anime:0.5>"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1.5.2", {"Old prompt editing timelines", "Pad conds v0", "Downcast alphas_cumprod", "Refiner switch"}),
        ("v1.6.0", {"Downcast alphas_cumprod", "Refiner switch"}),
        ("v1.7.0-224-gabc", {"Downcast alphas_cumprod", "Refiner switch"}),
        ("v1.7.0-225-gabc", {"Refiner switch"}),
        ("v1.8.0", set()),
        ("f2.0.1v1.5.2", set()),
        ("atelier-0.3.0", set()),
        ("1.5.2", set()),
    ],
)
def test_only_the_fields_own_versions_switch_old_behaviour_on(version, expected):
    text = f"a [b:c:2]\nSteps: 1, Sampler: DDIM, Seed: 2, Refiner: r, Version: {version}"
    switched_on = {key for key, value in parse_infotext(text).items() if value is True}
    assert {key.removesuffix(" by sampling steps") for key in switched_on} == expected


def test_emphasis_is_filled_in_only_where_it_matters():
    assert "Emphasis" not in parse_infotext("a cat")
    assert parse_infotext("a (cat)")["Emphasis"] == "Original"
    assert parse_infotext("a cat\nNegative prompt: [b]")["Emphasis"] == "Original"


# What is written comes back -------------------------------------------------------------------------------------------

line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]) | st.just(" "), max_size=40).map(
    str.strip
)
prompt = (
    st.lists(line.filter(lambda text: not text.startswith("Negative prompt:")), max_size=4)
    .map("\n".join)
    .map(str.strip)
)
key = st.from_regex(r"[A-Za-z][A-Za-z \-/]{0,20}[A-Za-z]", fullmatch=True).filter(lambda key: key not in DEFAULTS)
value = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
        lambda text: text == text.lstrip() and text[:1] != '"'
    )
    | st.integers()
    | st.floats(allow_nan=False)
    | st.booleans()
)


def _would_not_come_back(text):
    """Sizes are split; spaces at the end of the line are stripped with it."""
    return text.replace("x", "").isdigit() or text != text.strip()


@given(prompt=prompt, negative=prompt, others=st.dictionaries(key, value, max_size=8))
def test_what_is_written_is_read_again(prompt, negative, others):
    others = {name: one for name, one in others.items() if name != str(one) and not _would_not_come_back(str(one))}
    pairs = PAIRS | {name: one for name, one in others.items() if not name.startswith(("Hypernet", "First pass"))}
    found = parse_infotext(write_infotext(prompt, negative, pairs))
    assert found["Prompt"] == prompt
    assert found["Negative prompt"] == negative
    assert {name: found.get(name) for name in pairs} == {name: str(one) for name, one in pairs.items()}


@given(st.dictionaries(st.sampled_from((*FIRST_KEYS, "Foo", "Version", "User")), st.integers(0, 9)))
def test_known_keys_stand_in_one_order_however_they_come(pairs):
    written = write_infotext("", "", pairs)
    assert written == write_infotext("", "", dict(sorted(pairs.items())))


@given(st.text(st.sampled_from('ab: ,"\\\n-/x1') | st.characters(), max_size=200))
def test_any_text_can_be_read(text):
    found = parse_infotext(text)
    assert isinstance(found["Prompt"], str)
    "".join(f"{key}{value}" for key, value in found.items()).encode("utf-8", "surrogatepass")


@pytest.mark.timeout(60)  # quadratic time would be hours
@pytest.mark.parametrize(
    "part", ["a ", "a", '"', '\\"', 'aa: "', 'aa: "\\', "aa:", " ", ":", ",", "\n", "aa: 1,", "é-/ "]
)
def test_long_texts_take_linear_time(part):
    assert parse_infotext("x\n" + part * 200_000)
