"""The text stored in a picture: prompt, negative prompt and one line of `key: value` pairs, as the field writes and reads it."""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from modules.prompts.attention import uses_emphasis
from modules.prompts.styles import Style, without_styles

Value = str | int | float | bool | list[str]  # a list is "Styles array" alone

NEGATIVE = "Negative prompt:"
FEWEST_PAIRS = 3  # a last line with fewer is prompt

FIRST_KEYS = (
    "Steps",
    "Sampler",
    "Schedule type",
    "CFG scale",
    "Image CFG scale",
    "Seed",
    "Face restoration",
    "Size",
    "Model hash",
    "Model",
    "FP8 weight",
    "Cache FP16 weight for LoRA",
    "VAE hash",
    "VAE",
    "Variation seed",
    "Variation seed strength",
    "Seed resize from",
    "Denoising strength",
    "Conditional mask weight",
    "Clip skip",
    "ENSD",
    "Token merging ratio",
    "Token merging ratio hr",
    "Init image hash",
    "RNG",
    "Tiling",
)
LAST_KEYS = ("Version", "User")

DEFAULTS: Mapping[str, Value] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}

RUN = re.compile(r"[\w \-/]*")  # what a key can be made of
KEY = re.compile(r"\w[\w \-/]+")
VALUE = re.compile(r'\s*+(?P<value>"(?:\\.|[^\\"])++"(?=,|$)|[^,]*)')
SIZE = re.compile(r"([0-9]+)x([0-9]+)")
VERSION = re.compile(r"v([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9]+)-g[0-9a-f]+)?")

# Writing -----------------------------------------------------------------------------------------------------------------


def quoted(value: object) -> str:
    r"""A value as it stands in the line: as JSON when it would break the line or the pairs, else as it is.

    >>> print(quoted("a, b"), quoted(0.5), quoted('say "cheese"'))
    "a, b" 0.5 say "cheese"
    """
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",\n:") else text


def write_infotext(prompt: str, negative_prompt: str, pairs: Mapping[str, object]) -> str:
    """The text for one picture. Pairs that are None are left out; known keys stand in the field's order, others after them.

    >>> print(write_infotext("a cat", "blurry", {"Seed": 7, "Steps": 20, "Size": "64x64"}))
    a cat
    Negative prompt: blurry
    Steps: 20, Seed: 7, Size: 64x64
    """
    written = [_pair(key, pairs[key]) for key in _in_order(pairs) if pairs[key] is not None]
    negative = f"\n{NEGATIVE} {negative_prompt}" if negative_prompt else ""
    return f"{prompt}{negative}\n{', '.join(written)}".strip()


def _pair(key: str, value: object) -> str:
    return key if key == str(value) else f"{key}: {quoted(value)}"


def _in_order(pairs: Mapping[str, object]) -> Iterator[str]:
    yield from (key for key in FIRST_KEYS if key in pairs)
    yield from (key for key in pairs if key not in FIRST_KEYS and key not in LAST_KEYS)
    yield from (key for key in LAST_KEYS if key in pairs)


# Reading -----------------------------------------------------------------------------------------------------------------


def parse_infotext(
    text: str,
    *,
    styles: Sequence[Style] = (),
    absent: bool = True,
    backward: bool = True,
    skip: Collection[str] = (),
) -> dict[str, Value]:
    """All that a picture's text says, "Prompt" and "Negative prompt" included, and what absent keys mean.

    Reads any text, in time linear in its length. Values are text, but for those of `DEFAULTS` and of old versions' keys.
    `styles`: those found in the prompts are cut out and named under "Styles array".  `absent`: fill in what absent keys
    mean.  `backward`: a text of an old version switches that version's behaviour on.  `skip`: keys to leave out.

    >>> found = parse_infotext("a cat\\nSteps: 20, Seed: 7, Size: 64x48")
    >>> found["Prompt"], found["Steps"], found["Size-1"], found["Schedule type"]
    ('a cat', '20', '64', 'Automatic')
    """
    found = _read(text)
    if styles:
        _cut_styles(found, styles)
    _translate_old_keys(found)
    if absent:
        found |= _missing(found)
    if backward:
        found |= _old_behaviour(found)
    return {key: value for key, value in found.items() if key not in skip}


def read_hashes(text: str) -> dict[str, str]:
    """The hashes by name of a value such as that of "Lora hashes".

    >>> read_hashes("fur: 0123456789ab, ink: ba9876543210")
    {'fur': '0123456789ab', 'ink': 'ba9876543210'}
    """
    pairs = (pair.partition(":") for pair in text.split(","))
    return {name.strip(): found.strip() for name, _, found in pairs if name.strip() and found.strip()}


def _read(text: str) -> dict[str, Value]:
    """What is written, and nothing else."""
    *lines, last = text.strip().split("\n")
    pairs = list(_pairs(last))
    if len(pairs) < FEWEST_PAIRS:
        lines, pairs = [*lines, last], []
    found: dict[str, Value] = {}
    for key, value in pairs:
        found |= _entries(key, _unquoted(value))
    prompt, negative_prompt = _prompts(lines)
    return found | {"Prompt": prompt, "Negative prompt": negative_prompt}


def _cut_styles(found: dict[str, Value], styles: Sequence[Style]) -> None:
    """Take the styles out of the prompts; out of the second pass's only when the same ones are in those."""
    prompt, negative_prompt, names = without_styles(str(found["Prompt"]), str(found["Negative prompt"]), styles)
    if not names:
        return
    found |= {"Prompt": prompt, "Negative prompt": negative_prompt, "Styles array": list(names)}
    hires = str(found.get("Hires prompt", "")), str(found.get("Hires negative prompt", ""))
    chosen = [style for style in styles if style.name in names]
    prompt, negative_prompt, hires_names = without_styles(*hires, chosen)
    if hires_names == names:
        found |= {"Hires prompt": prompt, "Hires negative prompt": negative_prompt}


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Key and raw value, left to right. A regular expression over all of it would take quadratic time on long texts."""
    place = 0
    while place < len(line):
        run = RUN.match(line, place)
        end = run.end() if run else place
        key = KEY.search(line, place, end) if line[end : end + 1] == ":" else None
        value = VALUE.match(line, end + 1) if key else None
        if key and value:
            yield key[0], value["value"]
            end = value.end()
        place = end + 1


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        text = str(json.loads(value))
        text.encode()  # a lone half of a surrogate pair is no text; whoever sent it on would fail
    except ValueError:
        return value
    return text


def _entries(key: str, value: str) -> dict[str, Value]:
    """A pair's entries: a size such as 512x768 becomes two."""
    size = SIZE.fullmatch(value)
    return {f"{key}-1": size[1], f"{key}-2": size[2]} if size else {key: value}


def _prompts(lines: list[str]) -> tuple[str, str]:
    texts: tuple[list[str], list[str]] = ([], [])
    negative = False
    for line in (line.strip() for line in lines):
        if line.startswith(NEGATIVE):
            negative = True
            line = line.removeprefix(NEGATIVE).strip()
        texts[negative].append(line)
    prompt, negative_prompt = ("\n".join(text).lstrip("\n") for text in texts)
    return prompt, negative_prompt


def _translate_old_keys(found: dict[str, Value]) -> None:
    """Keys of old versions, rewritten as today's."""
    if "Hypernet" in found:
        found["Prompt"] = f"{found['Prompt']}<hypernet:{found['Hypernet']}:{found.get('Hypernet strength', '1.0')}>"
    if "First pass size-1" not in found:
        return
    width, height = _whole(found.get("Size-1", 512)), _whole(found.get("Size-2", 512))
    first_width, first_height = _whole(found["First pass size-1"]), _whole(found["First pass size-2"])
    if not first_width or not first_height:
        first_width, first_height = _automatic_first_pass(width, height)
    found |= {"Size-1": first_width, "Size-2": first_height, "Hires resize-1": width, "Hires resize-2": height}


def _automatic_first_pass(width: int, height: int) -> tuple[int, int]:
    """The size that 0x0 stood for: as many pixels as 512x512, in the picture's shape, in multiples of 64."""
    scale = math.sqrt(512 * 512 / max(1, width * height))
    return math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64


def _whole(value: Value) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _missing(found: Mapping[str, Value]) -> dict[str, Value]:
    missing = {key: value for key, value in DEFAULTS.items() if key not in found}
    emphasised = uses_emphasis(str(found["Prompt"])) or uses_emphasis(str(found["Negative prompt"]))
    return missing | ({"Emphasis": "Original"} if emphasised and "Emphasis" not in found else {})


def _old_behaviour(found: Mapping[str, Value]) -> dict[str, Value]:
    """What pictures of old versions need to come out the same. Only the field's own version numbers count."""
    version = VERSION.fullmatch(str(found.get("Version", "")))
    if version is None:
        return {}
    number = tuple(int(part or 0) for part in version.groups())
    prompts = f"{found['Prompt']}{found['Negative prompt']}"
    holds = {
        "Old prompt editing timelines": number < (1, 6, 0, 0) and "[" in prompts,
        "Pad conds v0": number < (1, 6, 0, 0) and found.get("Sampler") in ("DDIM", "PLMS"),
        "Downcast alphas_cumprod": number < (1, 7, 0, 225),
        "Refiner switch by sampling steps": number < (1, 8, 0, 0) and "Refiner" in found,
    }
    return {key: True for key, holding in holds.items() if holding}
