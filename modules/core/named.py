"""Look things up by name or alias, and say what was probably meant when there is none."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Generic, Protocol, TypeVar

from modules.core.errors import NameTaken, UnknownName


class HasName(Protocol):
    """Anything that plugins register: it has a name, and may have `aliases`."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=HasName)


def folded(name: str) -> str:
    """The form in which names are compared: case, spaces, `_` and `-` do not count.

    >>> folded("DPM++ 2M") == folded("dpm++_2m")
    True
    """
    return "".join(name.casefold().split()).replace("_", "").replace("-", "")


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant.

    >>> closest("Eulr", ["Euler", "DDIM"])
    'Euler'
    """
    known = {folded(known_name): known_name for known_name in names}
    found = get_close_matches(folded(name[:80]), known, n=1, cutoff=0.6)
    return known[found[0]] if found else None


class Names(Mapping[str, T], Generic[T]):
    """An ordered collection of named things; iterating and indexing use the display names.

    >>> from types import SimpleNamespace as Thing
    >>> samplers = Names("sampler", [Thing(name="Euler", aliases=("k_euler",))])
    >>> samplers.find("K_EULER").name
    'Euler'
    >>> samplers.find("Eulr")
    Traceback (most recent call last):
    modules.core.errors.UnknownName: no sampler is called 'Eulr'; did you mean 'Euler'?
    """

    def __init__(self, kind: str, things: Iterable[T] = ()) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}
        self._by_folded: dict[str, T] = {}
        for thing in things:
            self.claim(thing)

    def claim(self, thing: T) -> None:
        """Add one thing. Raises NameTaken, and adds nothing, when its name or an alias is held already."""
        self.refuse_taken(thing)
        names = (thing.name, *_aliases(thing))
        self._things[thing.name] = thing
        self._by_folded |= {folded(name): thing for name in names}

    def refuse_taken(self, thing: T) -> None:
        """Raise NameTaken when `thing` could not be claimed."""
        for name in (thing.name, *_aliases(thing)):
            holder = self._by_folded.get(folded(name))
            if holder is not None:
                raise NameTaken(f"the {self.kind} name {name!r} is taken already, by {holder.name!r}")

    def find(self, name: str) -> T:
        """The thing with this name or alias. Raises UnknownName with a suggestion."""
        thing = self._by_folded.get(folded(name))
        if thing is None:
            raise UnknownName(self.kind, name, closest(name, self._things))
        return thing

    def __getitem__(self, name: str) -> T:
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


def _aliases(thing: Any) -> tuple[str, ...]:
    return tuple(getattr(thing, "aliases", ()))
