"""A folder on the server as pictures to train on: with captions beside them, in the forms that trainers of the field know.

`a.png` with `a.txt` or `a.caption`; names that are sentences; kohya's folders `10_sks cat` (ten times each, "sks cat").
Who may read which folder: alone on this machine any; where people log in, or the network is served, only what lies in
`training-data` of the data directory, or behind a link that an administrator has put there.
"""

import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modules.core.errors import InvalidImage
from modules.core.flags import Flags
from modules.core.places import Places
from modules.core.training_fields import MOST_PICTURES
from modules.services.inputs import Inputs
from modules.services.training.files import (
    caption_beside,
    content,
    entries,
    is_folder,
    is_picture_name,
    listed,
    others,
    refusal,
)
from modules.services.training.texts import caption_of_name

log = logging.getLogger(__name__)

OPEN = "training-data"
NUMBERED = re.compile(r"(\d{1,4})_(.*)")
INNER = ("img", "image", "images")  # where kohya's own tool puts the numbered folders
MOST_REPEATS = 100
SENTENCE = 3  # words that make a name a caption


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One picture, stored. `name`: below the folder. `source`: txt, caption, filename, folder or none."""

    id: str
    name: str
    caption: str = ""
    source: str = "none"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a folder gave. A picture stands there as often as it counts. `identifier`, `class_noun`: by the folder's name."""

    folder: str
    pictures: tuple[Kept, ...]
    remarks: tuple[str, ...] = ()
    identifier: str = ""
    class_noun: str = ""

    @property
    def captions(self) -> dict[str, int]:
        """How many captions came from where."""
        known: dict[str, int] = {"txt": 0, "caption": 0, "filename": 0, "folder": 0, "none": 0}
        for one in {one.name: one for one in self.pictures}.values():
            known[one.source] += 1
        return known


@dataclass(kw_only=True)
class _Group:
    """The files of one folder. `repeats` and `words` are kohya's."""

    path: Path
    prefix: str = ""
    repeats: int = 1
    words: str = ""
    files: list[Path] = field(default_factory=list[Path])


class FolderImport:
    """Reads folders; the pictures are stored among the inputs. Blocks while they are decoded."""

    def __init__(self, inputs: Inputs, places: Places, flags: Flags) -> None:
        self._inputs, self._open = inputs, places.data / OPEN
        self.free = not (flags.listen or flags.gradio_auth or flags.api_auth)

    def read(self, path: str) -> Imported:
        """The pictures of a folder. Raises InvalidRequest with a sentence about `folder`, StorageFailed."""
        folder, root = self._allowed(path)
        remarks: list[str] = []
        groups = _groups(folder, root, remarks)
        sources = [(group, file) for group in groups for file in group.files if is_picture_name(file)]
        if not sources:
            raise refusal(f"There are no pictures in {folder.name!r}; {_hint(remarks)}")
        if len(sources) > MOST_PICTURES:
            raise refusal(
                f"There are {len(sources):,} pictures in {folder.name!r}; at most {MOST_PICTURES:,} are read."
            )
        log.info("the pictures of the folder %s are read to train on: %d files", folder, len(sources))
        found = self._stored(groups, remarks)
        if not found:
            raise refusal(f"None of the files in {folder.name!r} can be read. {' '.join(remarks)}")
        pictures = tuple(kept for group, kept in found for _ in range(group.repeats))
        if len(pictures) > MOST_PICTURES:
            pictures = tuple(kept for _, kept in found)
            remarks.append("With their repeats these are too many pictures; each counts once.")
        words = {group.words for group in groups if group.words}
        identifier, noun = _subject(next(iter(words))) if len(words) == 1 else ("", "")
        return Imported(
            folder=str(folder), pictures=pictures, remarks=tuple(remarks), identifier=identifier, class_noun=noun
        )

    def _allowed(self, path: str) -> tuple[Path, Path | None]:
        """(the folder, what its files must not lie outside of). Says no more of folders that are closed than that."""
        text = path.strip().strip('"')
        if not text or "\0" in text:
            raise refusal("Name a folder on the server.")
        try:
            found = (self._open / Path(text).expanduser()).resolve()
        except (OSError, RuntimeError) as error:
            raise refusal("This is no folder that can be read.") from error
        root = None
        if not self.free:
            root = next((one for one in self._roots() if found.is_relative_to(one)), None)
            if root is None:
                raise refusal(
                    f"Where several people use the server, folders are read from {OPEN!r} in its data directory only; "
                    "put the pictures there, or upload them."
                )
        if not is_folder(found):
            raise refusal(f"There is no folder {text[:200]!r} on the server.")
        return found, root

    def _roots(self) -> Iterator[Path]:
        """The open folder and what its links lead to."""
        yield self._open.resolve()
        try:
            yield from [one.resolve() for one in self._open.iterdir() if one.is_symlink()]
        except OSError:
            return

    def _stored(self, groups: Sequence[_Group], remarks: list[str]) -> list[tuple[_Group, Kept]]:
        """Every picture that can be read, and remarks on those that cannot."""
        found: list[tuple[_Group, Kept]] = []
        bad: list[str] = []
        for group in groups:
            files = frozenset(group.files)
            for file in (one for one in group.files if is_picture_name(one)):
                name = group.prefix + file.name
                try:
                    id = self._inputs.store(content(file))
                except InvalidImage as error:
                    bad.append(f"{name} ({str(error).rstrip('.')})")
                    continue
                caption, source = caption_beside(file, files, remarks)
                found.append((group, Kept(id=id.id, name=name, caption=caption, source=source)))
        if bad:
            remarks.append(listed("cannot be read", bad))
        no_pictures = [group.prefix + one.name for group in groups for one in others(group.files)]
        if no_pictures:
            remarks.append(listed("no pictures", no_pictures))
        return _with_names(found)


# Folders -----------------------------------------------------------------------------------------------------------------


def _groups(folder: Path, root: Path | None, remarks: list[str]) -> list[_Group]:
    """The folder itself, and kohya's numbered ones in it."""
    found = entries(folder, root)
    inner = next((one for one in found if one.name.lower() in INNER and one.is_dir()), None)
    if inner is not None and not any(map(is_picture_name, found)):
        return _groups(inner, root, remarks)
    groups = [_Group(path=folder, files=[one for one in found if one.is_file()])]
    skipped: list[str] = []
    for one in found:
        match = NUMBERED.fullmatch(one.name)
        if not is_folder(one):
            continue
        if match is None:
            skipped.append(one.name)
            continue
        files = [file for file in entries(one, root) if file.is_file()]
        repeats = max(1, min(MOST_REPEATS, int(match[1])))
        words = " ".join(match[2].replace("_", " ").split())
        groups.append(_Group(path=one, prefix=f"{one.name}/", repeats=repeats, words=words, files=files))
    own = NUMBERED.fullmatch(folder.name)
    if own and groups[0].files:
        groups[0].words = " ".join(own[2].replace("_", " ").split())
    if skipped:
        remarks.append(listed("not looked into", skipped))
    _explain(groups[1:], remarks)
    return groups


def _explain(numbered: Sequence[_Group], remarks: list[str]) -> None:
    """Kohya's repeats: only their proportion matters here, where the number of steps is set."""
    if not numbered:
        return
    least = math.gcd(*(group.repeats for group in numbered))
    for group in numbered:
        told = group.repeats
        group.repeats //= least
        counts = "counts once" if group.repeats == 1 else f"counts {group.repeats} times"
        remarks.append(
            f"{group.prefix[:-1]!r} is a folder in kohya's form: {told} repeats of {group.words!r}. Steps are set by "
            f"their number here, so each of its pictures {counts}."
        )


def _with_names(found: list[tuple[_Group, Kept]]) -> list[tuple[_Group, Kept]]:
    """Captions where there are none beside: the folder's words, or names, if all of them are sentences."""
    silent = [kept for _, kept in found if kept.source == "none"]
    speaking = [text for kept in silent if len((text := caption_of_name(kept.name)).split()) >= SENTENCE]
    by_name = len(silent) == len(found) == len(speaking)
    named: list[tuple[_Group, Kept]] = []
    for group, kept in found:
        caption, source = kept.caption, kept.source
        if source == "none" and by_name:
            caption, source = caption_of_name(kept.name), "filename"
        elif source == "none" and group.words:
            caption, source = group.words, "folder"
        named.append((group, Kept(id=kept.id, name=kept.name, caption=caption, source=source)))
    return named


def _subject(words: str) -> tuple[str, str]:
    """(identifier, class noun) of a folder called "sks cat"; one word is a class noun."""
    first, _, rest = words.partition(" ")
    return (first, rest) if rest else ("", first)


def _hint(remarks: Sequence[str]) -> str:
    return " ".join(remarks) or "PNG, JPEG, WebP and BMP files can be read."
