"""Keep heavy packages out of a process: the web process stays up and quick because it never imports torch."""

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

HEAVY = ("torch", "diffusers", "transformers", "accelerate", "peft", "xformers")


class Forbidden(MetaPathFinder):
    """Refuses the import of some packages, with a sentence for the author of the extension that tried."""

    def __init__(self, packages: Iterable[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ImportError for a forbidden package; leave all others to the finders behind this one."""
        if fullname.partition(".")[0] in self.packages:
            raise ImportError(
                f"the web process does not import {fullname}; import it inside the function that the engine calls"
            )
        return None


def forbid(packages: Iterable[str] = HEAVY) -> None:
    """From now on this process cannot import these packages."""
    sys.meta_path.insert(0, Forbidden(packages))
