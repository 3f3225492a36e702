"""`modules.infotext_utils`, as scripts of the field import it."""

from modules.compat.texts import parse_generation_parameters

__all__ = ["parse_generation_parameters"]
