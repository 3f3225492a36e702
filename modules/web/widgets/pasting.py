"""A picture's text as values of a form's fields."""

from typing import Any

from modules.core.fields import shown_fields
from modules.prompts.infotext import parse_infotext
from modules.prompts.pasted import values_of as held

KEPT = {"model", "sampler", "schedule", "steps", "cfg_scale", "seed", "width", "height", "prompt", "negative_prompt"}


def values_of(text: str, kind: type) -> dict[str, Any]:
    """Values by field name. What the text of a picture does not speak of had no effect, and goes back to its default.

    A text without settings leaves all settings alone. The template of wildcards is not read: the prompt is.
    """
    parsed = parse_infotext(text, absent=False)
    values = {name: value for name, value in held(parsed, kind).items() if "template" not in name}
    if "Steps" not in parsed:
        return {name: value for name, value in values.items() if name in ("prompt", "negative_prompt")}
    usual = {one.name: one.default for one, known in shown_fields(kind) if known.infotext and one.name not in KEPT}
    return _in_the_browser(usual | values)


def _in_the_browser(values: dict[str, Any]) -> dict[str, Any]:
    """As the components hold them: no number is an empty text, several values are a list, a huge integer is text."""

    def one(value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, tuple):
            return list(value)
        huge = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53
        return str(value) if huge else value

    return {name: one(value) for name, value in values.items()}
