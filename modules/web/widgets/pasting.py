"""A picture's text as values of a form's fields, in the words of this place: names as the lists here have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modules.core.errors import InvalidRequest, UnknownName
from modules.core.fields import shown_fields
from modules.prompts.infotext import Value, parse_infotext
from modules.prompts.pasted import KEYS
from modules.prompts.pasted import values_of as held
from modules.prompts.styles import Style

KEPT = {"model", "sampler", "schedule", "steps", "cfg_scale", "seed", "width", "height", "prompt", "negative_prompt"}
PROMPTS = ("prompt", "negative_prompt")


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a text says. `values`: by field name; `problems`: why a field's value cannot be had here, by field name."""

    parsed: Mapping[str, Value]
    values: dict[str, Any]
    problems: dict[str, str] = field(default_factory=dict[str, str])


def read_text(text: str, kind: type, styles: Sequence[Style] = ()) -> Read:
    """Values by field name. What the text of a picture does not speak of had no effect, and goes back to its default.

    A text without settings leaves all settings alone. The template of wildcards is not read: the prompt is.
    `styles`: those found in the prompts are taken out of them and chosen.
    """
    parsed = parse_infotext(text, absent=False, styles=styles)
    values = {name: value for name, value in held(parsed, kind).items() if "template" not in name}
    if "Steps" not in parsed:
        return Read(parsed=parsed, values={name: values[name] for name in PROMPTS if name in values})
    usual = {one.name: one.default for one, known in shown_fields(kind) if known.infotext or one.name in KEYS}
    usual = {name: value for name, value in usual.items() if name not in KEPT}
    return Read(parsed=parsed, values={"styles": ()} | usual | _noise_of(parsed) | values)


def _noise_of(parsed: Mapping[str, Value]) -> dict[str, str]:
    """Programs of the field do not write that noise came from a graphics card; NV gives that noise on every machine."""
    theirs = ("Version" in parsed or "Model hash" in parsed) and not str(parsed.get("Version", "")).startswith(
        "Atelier"
    )
    return {"noise_source": "NV"} if theirs else {}


def named_here(studio: Any, read: Read, kind: type) -> Read:
    """The same with names as the lists here have them. What names nothing stays as it is and is listed as a problem.

    `model` is the title of the checkpoint, "" when the text names none or it is not here.
    """
    listed = [one.name for one, known in shown_fields(kind) if known.choices and one.name not in ("styles", "model")]
    wanted = {name: read.values[name] for name in listed if name in read.values}
    found, problems = _resolved(studio, kind(enable_hr="hr_upscaler" in wanted), wanted)
    model, problem = _model(studio, read.parsed)
    wrong = {"model": problem} if problem else {}
    return replace(read, values=read.values | found | {"model": model}, problems=problems | wrong)


def _resolved(studio: Any, usual: Any, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The names that there are, and why the others are none."""
    problems: dict[str, str] = {}
    for _ in wanted:
        good = {name: value for name, value in wanted.items() if name not in problems}
        try:
            found = studio.desk.resolver.resolved(replace(usual, **good))
        except InvalidRequest as error:
            problems |= {one.field: one.message for one in error.problems}
            if not problems.keys() & good.keys():
                break  # there is no model at all: nothing can be looked up
        else:
            schedules = {
                "sampler": "schedule",
                "hr_sampler": "hr_schedule",
            }  # old texts hold both in one: DPM++ 2M Karras
            names = {*good, *(schedule for sampler, schedule in schedules.items() if sampler in good)}
            return {name: getattr(found, name) for name in names}, problems
    return {}, {name: problem for name, problem in problems.items() if name in wanted}


def _model(studio: Any, parsed: Mapping[str, Value]) -> tuple[str, str]:
    """The title of the checkpoint of that hash, else of that name, and what is wrong with it."""
    name, hashed = (str(parsed.get(key, "")).strip() for key in ("Model", "Model hash"))
    named = f"{name} [{hashed}]" if name and hashed else name or hashed
    record = next((found for one in (hashed, name) if one and (found := _found(studio, one))), None)
    if record is None:
        return "", f"The model {named} is not here." if named else ""
    here = studio.library.with_hash(record)
    if (
        hashed
        and here.short_hash
        and not here.short_hash.startswith(hashed[:10])
        and len(hashed) >= len(here.short_hash)
    ):
        return here.title, f"The model called {name} here is another file than the one it was made with ({hashed})."
    return here.title, ""


def _found(studio: Any, name: str) -> Any:
    try:
        return studio.library.find(name)
    except UnknownName:
        return None


def in_the_browser(values: Mapping[str, Any]) -> dict[str, Any]:
    """As the components hold them: no number is an empty text, several values are a list, a huge integer is text."""

    def one(value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, tuple):
            return list(value)
        huge = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53
        return str(value) if huge else value

    return {name: one(value) for name, value in values.items()}
