"""Prompts and picture texts in the shapes that A1111's functions return: lists of lists and plain dictionaries."""

from collections.abc import Sequence
from typing import Any

from modules.prompts.attention import parse_attention
from modules.prompts.infotext import parse_infotext
from modules.prompts.schedule import schedule


def parse_prompt_attention(text: str) -> list[list[Any]]:
    """[text, weight] for each piece of a prompt; a break is ["BREAK", -1]."""
    return [[piece.text, -1 if piece.is_break else piece.weight] for piece in parse_attention(text)]


def get_learned_conditioning_prompt_schedules(
    prompts: Sequence[str], base_steps: int, hires_steps: int | None = None, use_old_scheduling: bool = False
) -> list[list[list[Any]]]:
    """[last step, text] for each interval of each prompt; of the second pass when `hires_steps` is given."""
    steps = base_steps if hires_steps is None else hires_steps
    before = None if hires_steps is None else base_steps
    return [
        [
            [interval.end_at, interval.text]
            for interval in schedule(text, steps, base_steps=before, old=use_old_scheduling)
        ]
        for text in prompts
    ]


def parse_generation_parameters(x: str, skip_fields: Sequence[str] | None = None) -> dict[str, Any]:
    """All pairs of a picture's text, "Prompt" and "Negative prompt" and what absent keys mean included."""
    return dict(parse_infotext(x, skip=skip_fields or ()))
