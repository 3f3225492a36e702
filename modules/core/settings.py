"""A setting: one named value with a default, that an administrator may change. Settings fill in defaults, nothing else."""

from dataclasses import dataclass
from typing import Any

from modules.core.errors import InvalidOption

Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`name` is the field's standard key (`sd_model_checkpoint`); the type is that of `default`."""

    name: str
    default: Value
    label: str
    help: str = ""
    section: str = "General"
    options: tuple[Value, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def checked(self, value: Any) -> Value:
        """`value` in the setting's type. Raises InvalidOption saying what was expected.

        >>> Setting(name="jpeg_quality", default=80, label="JPEG quality", minimum=1, maximum=100).checked("90")
        90
        """
        try:
            converted = self._converted(value)
        except (TypeError, ValueError) as error:
            kind = type(self.default).__name__
            raise InvalidOption(f"setting {self.name} is {str(value)[:80]!r}; it must be of type {kind}") from error
        self._check_range(converted)
        return converted

    def _converted(self, value: Any) -> Value:
        if isinstance(self.default, bool):
            if str(value).casefold() not in ("true", "false", "0", "1"):
                raise ValueError(value)
            return str(value).casefold() in ("true", "1")
        return type(self.default)(value)

    def _check_range(self, value: Value) -> None:
        if self.options and value not in self.options:
            known = ", ".join(str(option) for option in self.options)
            raise InvalidOption(f"setting {self.name} is {str(value)[:80]!r}; it must be one of {known}")
        if isinstance(value, str):
            return
        too_low = self.minimum is not None and not value >= self.minimum
        too_high = self.maximum is not None and not value <= self.maximum
        if too_low or too_high:
            raise InvalidOption(f"setting {self.name} is {value}; it must be between {self.minimum} and {self.maximum}")
