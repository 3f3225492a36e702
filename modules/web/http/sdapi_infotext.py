"""The `infotext` of a body: how another picture was made, for all that the client does not say itself."""

from collections.abc import Mapping
from typing import Any

from modules.core.errors import InvalidRequest, Problem, UnknownName
from modules.core.fields import shown_fields
from modules.core.requests import ImageRequest
from modules.prompts.infotext import Value, parse_infotext
from modules.prompts.pasted import KEYS, values_of
from modules.services.library import Library

NOT_READ = ("model", "template", "negative_template")  # the model is looked up; the text drawn is the prompt


def fields_in(text: str, kind: type[ImageRequest], library: Library) -> dict[str, Any]:
    """Our fields as far as the text says something; what it does not say is left to the settings.

    A model that is not there is left out. Raises InvalidRequest for a number that is none.
    """
    parsed = parse_infotext(text, absent=False)
    found = values_of(parsed, kind)
    problems = [
        Problem(
            field=one.name, message=f"{known.label} in the infotext is {str(parsed[key])[:80]!r}; that is no value."
        )
        for one, known in shown_fields(kind)
        if (key := KEYS.get(one.name, known.infotext)) in parsed and one.name not in found
    ]
    if problems:
        raise InvalidRequest(*problems)
    return {name: value for name, value in found.items() if name not in NOT_READ} | _model(parsed, library)


def _model(parsed: Mapping[str, Value], library: Library) -> dict[str, Any]:
    for key in ("Model hash", "Model"):
        try:
            if parsed.get(key):
                return {"model": library.find(str(parsed[key])).title}
        except UnknownName:
            continue
    return {}
