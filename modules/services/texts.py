"""What a request's texts say in the end: styles merged, comments stripped, wildcards and variants drawn for each picture."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from modules.core.errors import InvalidRequest, Problem
from modules.core.image_fields import LONGEST_PROMPT
from modules.core.requests import ImageRequest
from modules.prompts.attention import BREAK
from modules.prompts.comments import without_comments
from modules.prompts.composition import split_and
from modules.prompts.styles import Style, with_styles
from modules.prompts.wildcards import Lists, has_choices, remarks
from modules.prompts.wildcards import resolved as drawn
from modules.services.styles import Styles
from modules.services.wildcards import Wildcards

MOST_PARTS = 64  # joined by AND: each is another pass through the U-Net in every step
MOST_BREAKS = 100  # each is another 77 tokens for the U-Net to look at

Images = TypeVar("Images", bound=ImageRequest)


@dataclass(frozen=True, kw_only=True)
class _Field:
    """A text of a request: its name, that of its resolved texts, of its template if it has one, and which text of a style it gets."""

    one: str
    each: str
    template: str = ""
    negative: bool = False


FIELDS = (
    _Field(one="prompt", each="prompts", template="template"),
    _Field(one="negative_prompt", each="negative_prompts", template="negative_template", negative=True),
    _Field(one="hr_prompt", each="hr_prompts"),
    _Field(one="hr_negative_prompt", each="hr_negative_prompts", negative=True),
)


def resolved(request: Images, styles: Styles, wildcards: Wildcards, strip_comments: bool = True) -> Images:
    """A request whose texts are final; resolving it again changes nothing. Its seed must have been drawn before.

    Picture i draws with seed + i, also where a variation strength gives all pictures the same noise: variants would be
    pointless otherwise. All four texts of a picture draw with the same seed: the same choice at the same place of
    prompt and second-pass prompt comes out the same. `prompt` becomes the first picture's; `prompts` is filled where
    pictures differ. What an extension put into `prompts` stays.
    Raises InvalidRequest for an unknown style and for texts that became too long.
    """
    assert request.seed >= 0, "the seed has to be drawn before the texts"
    chosen = styles.chosen(request.styles)
    lists: Lists = {} if not chosen and not _may_draw(request) else wildcards.now()
    changes: dict[str, Any] = {"styles": ()}
    for field in FIELDS:
        if not getattr(request, field.each):
            changes |= _resolved(request, field, _plain(request, field, chosen, strip_comments), lists)
    return replace(request, **changes)


def notes(request: ImageRequest) -> tuple[str, ...]:
    """What whoever asked should know of the resolved texts: wildcards that there are not."""
    return remarks(_texts(request))


def _texts(request: ImageRequest) -> Iterator[str]:
    for field in FIELDS:
        yield getattr(request, field.one)
        yield from getattr(request, field.each)


def _may_draw(request: ImageRequest) -> bool:
    return any("__" in text or "{" in text for text in _texts(request))


def _plain(request: ImageRequest, field: _Field, styles: list[Style], strip_comments: bool) -> str:
    """The text before anything is drawn. An empty one of the second pass means the first pass's, and stays empty."""
    text = str(getattr(request, field.one))
    if field.template or text:
        texts = ("", text) if field.negative else (text, "")
        text = with_styles(*texts, styles)[field.negative]
    if strip_comments and "#" in text:
        text = without_comments(text)
        text = text if text.strip() else ""
    return text


def _resolved(request: ImageRequest, field: _Field, plain: str, lists: Lists) -> dict[str, Any]:
    """The new values of a field, of its resolved texts and of its template."""
    if not has_choices(plain):
        return {field.one: _checked(field, plain)}
    seeds = range(request.seed, request.seed + request.images)
    texts = tuple(_checked(field, drawn(plain, seed, lists)) for seed in seeds)
    changes: dict[str, Any] = {field.one: texts[0]}
    if set(texts) != {texts[0]} or not texts[0]:  # an empty text alone would mean another one in the second pass
        changes[field.each] = texts
    if field.template and texts != (plain,) * len(texts):
        changes[field.template] = plain
    return changes


def _checked(field: _Field, text: str) -> str:
    """The final text. Raises InvalidRequest when it asks for more than a picture should cost."""
    parts = len(split_and(text)) if not field.negative else 1
    message = ""
    if len(text) > LONGEST_PROMPT:
        message = f"With styles and wildcards it has {len(text):,} characters; at most {LONGEST_PROMPT:,} are allowed."
    elif parts > MOST_PARTS:
        message = f"It has {parts:,} parts joined by AND; at most {MOST_PARTS} are allowed, for each one takes its time in every step."
    elif text.count(BREAK) > MOST_BREAKS:
        message = f"It has BREAK {text.count(BREAK):,} times; at most {MOST_BREAKS} are allowed."
    if message:
        raise InvalidRequest(Problem(field=field.one, message=message))
    return text
