"""Making a picture again from its text: the request, what stands in its way, and what differs afterwards, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from modules.core.errors import InvalidRequest, Problem
from modules.core.fields import shown_fields
from modules.core.requests import ImageRequest
from modules.imaging.likeness import Likeness
from modules.prompts.infotext import Value, parse_infotext, read_hashes
from modules.prompts.networks import cut_networks
from modules.prompts.pasted import KEYS, with_networks_here
from modules.web.widgets.pasting import Read, named_here, read_text

FIELD_KEYS = {one.name: KEYS.get(one.name) or known.infotext for one, known in shown_fields(ImageRequest)}
BESIDE = {"Model hash", "VAE hash", "Lora hashes", "TI hashes", "Version", "User", "Template", "Negative Template"}
SILENT = BESIDE | set(FIELD_KEYS.values()) | set(KEYS.values()) | {"Batch size", "Batch pos", "Eta DDIM"}
OF_A_PICTURE = ("Init image hash", "Mask blur", "Image CFG scale", "Outpaint", "Inpaint area")
OLD = {
    "Pad conds v0": "Its old program padded short prompts in another way.",
    "Downcast alphas_cumprod": "Its old program computed the noise levels with fewer digits.",
}
TO_THE_EYE = 40.0  # dB; differences of two or three steps of 255
NEARLY = 30.0


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Why a setting cannot be had as the text says. `key`: the text's."""

    key: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Again:
    """A picture's text as a request, and what will not be as it was."""

    request: ImageRequest
    remarks: tuple[Remark, ...]


def again(studio: Any, text: str) -> Again:
    """Raises InvalidRequest when the text does not say how a picture is made, or when it was made from another picture."""
    read = read_text(text, ImageRequest)
    if "Steps" not in read.parsed:
        raise _cannot("This picture's text names no settings, so it cannot be made again.")
    if not read.values["enable_hr"] and ("Denoising strength" in read.parsed or set(OF_A_PICTURE) & read.parsed.keys()):
        raise _cannot(
            "This picture was made from another one (img2img), which its text does not hold. To make it again, open that other picture in img2img and read the settings of this one there."
        )
    hashes = {one.short_hash: one.name for one in studio.shelf.files("lora") if one.short_hash}
    renamed = with_networks_here(read.parsed, hashes)
    read = named_here(studio, read, ImageRequest)
    prompts = {"prompt": str(renamed["Prompt"]), "hr_prompt": str(renamed.get("Hires prompt", ""))}
    values = read.values | prompts
    remarks = tuple(_remarks(studio, read, values))
    good = {name: value for name, value in values.items() if name not in read.problems or name == "model"}
    known = {one.name for one in fields(ImageRequest)}
    return Again(request=ImageRequest(**{name: good[name] for name in good if name in known}), remarks=remarks)


def _remarks(studio: Any, read: Read, values: Mapping[str, Any]) -> Iterator[Remark]:
    model = read.values["model"]
    for name, problem in read.problems.items():
        instead = "" if name != "model" or model else " The model chosen at the top drew instead."
        yield Remark(key=FIELD_KEYS.get(name, name), words=f"{problem}{instead}")
    if not read.parsed.get("Seed"):
        yield Remark(key="Seed", words="The text names no seed, so the noise was another one.")
    yield from _networks(studio, str(values["prompt"]), read.parsed)
    if values.get("noise_source") == "GPU":
        yield Remark(key="RNG", words="Its noise was drawn on a graphics card, which only that kind of card repeats.")
    for key in read.parsed:
        if key not in SILENT and not key.startswith("Hires resize"):
            yield Remark(key=key, words=OLD.get(key, f"{key} is not known here and was left out."))


def _networks(studio: Any, prompt: str, parsed: Mapping[str, Value]) -> Iterator[Remark]:
    for one in cut_networks(prompt)[1]:
        if one.name and studio.shelf.network(one.kind, one.name) is None:
            yield Remark(key="Lora hashes", words=f"<{one.kind}:{one.name}> is not here, so it had no effect.")
    here = {one.name for one in studio.shelf.files("embedding")}
    for name in read_hashes(str(parsed.get("TI hashes", ""))):
        if name not in here:
            yield Remark(key="TI hashes", words=f"The embedding {name} is not here, so it was read as a plain word.")


def _cannot(message: str) -> InvalidRequest:
    return InvalidRequest(Problem(field="picture", message=message))


# -- afterwards ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row:
    """A setting that is not the same in both texts, or that could not be had."""

    key: str
    theirs: str
    here: str
    why: str


def rows(theirs: str, here: str, remarks: tuple[Remark, ...]) -> list[Row]:
    """What differs between two texts, in the order of the first, each with the reason if one is known."""
    first, second = (parse_infotext(text, absent=False, backward=False) for text in (theirs, here))
    why: dict[str, str] = {}
    for one in remarks:
        why[one.key] = f"{why[one.key]} {one.words}" if one.key in why else one.words
    remarked = set(why)
    keys = [*first, *(key for key in second if key not in first), *(key for key in why if key not in first | second)]
    if first.get("Model hash") and first.get("Model hash") == second.get("Model hash"):
        why.setdefault("Model", "The same file under another name.")
    elif first.get("Model hash"):
        why.setdefault("Model hash", "Another model file.")
    found = [(key, str(first.get(key, "")), str(second.get(key, ""))) for key in dict.fromkeys(keys)]
    return [
        Row(key=key, theirs=one, here=other, why=why.get(key) or _usual_reason(key, one, other))
        for key, one, other in found
        if not _same(one, other) or key in remarked
    ]


def _same(one: str, other: str) -> bool:
    if one.strip() == other.strip():
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def _usual_reason(key: str, theirs: str, here: str) -> str:
    if key == "Version":
        return "Another program or version; small differences are usual."
    if key == "RNG" and not theirs:
        return "Its program does not say where noise is drawn; NV gives what an NVIDIA card draws."
    if key in ("Schedule type", "User"):
        return "The same, said more exactly." if key == "Schedule type" and theirs in ("", "Automatic") else ""
    return "Only the one made here says it." if not theirs else "" if here else "Only the original says it."


def verdict(found: Likeness, reasons: list[str], lossy: str = "") -> str:
    """One sentence for people. `lossy`: the original's file format, if that changes pixels."""
    if found.psnr is None:
        return "Identical: every pixel is the same."
    decibel = f"PSNR {found.psnr:.0f} dB"
    if found.psnr >= TO_THE_EYE:
        return f"Equal to the eye ({decibel}): pixels differ by {found.largest} of 255 at most."
    known = reasons[0] if reasons else ""
    if lossy and found.psnr >= NEARLY:
        return f"Nearly the same ({decibel}): the original was saved as {lossy}, which changes pixels."
    start = f"Nearly the same ({decibel})" if found.psnr >= NEARLY else f"Different ({decibel})"
    if known:
        return f"{start}: {known}"
    return f"{start}. The texts do not say why: another device or version, or the original was edited afterwards."
