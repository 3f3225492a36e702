"""`modules.generation_parameters_copypaste`: the older name of `modules.infotext_utils`."""

from modules.compat.texts import parse_generation_parameters

__all__ = ["parse_generation_parameters"]
