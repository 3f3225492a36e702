"""`modules.prompt_parser`, as scripts of the field import it."""

from modules.compat.texts import get_learned_conditioning_prompt_schedules, parse_prompt_attention

__all__ = ["get_learned_conditioning_prompt_schedules", "parse_prompt_attention"]
