"""Files of a folder with pictures to train on: in order, of ordinary kind and size, with the captions beside them."""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from modules.core.errors import InvalidImage, InvalidRequest, Problem
from modules.core.training_fields import LONGEST_PROMPT

SIDECARS = (".txt", ".caption")
PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif")
CACHES = (".npz", ".json")  # of other trainers
LARGEST_FILE, LARGEST_TEXT = 64 << 20, 64 << 10
MOST_ENTRIES = 20_000
NAMED = 5  # files in one remark
KINDS = {
    "no pictures": ("1 file is no picture", "{} files are no pictures"),
    "cannot be read": ("1 file cannot be read", "{} files cannot be read"),
    "not looked into": ("1 folder is not looked into", "{} folders are not looked into"),
}


def is_picture_name(path: Path) -> bool:
    """Whether it calls itself a picture."""
    return path.suffix.lower() in PICTURES


def others(files: Sequence[Path]) -> list[Path]:
    """Those that are neither pictures nor beside one."""
    pictures = [one for one in files if is_picture_name(one)]
    stems = {one.stem for one in pictures} | {one.name for one in pictures}
    beside = {one for one in files if one.suffix.lower() in (*SIDECARS, *CACHES) and one.stem in stems}
    return [one for one in files if not is_picture_name(one) and one not in beside]


def content(path: Path) -> bytes:
    """The file, if it is an ordinary one of a size that pictures have."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidImage(f"The file is larger than {LARGEST_FILE >> 20} MB.")
        return path.read_bytes()
    except OSError as error:
        raise InvalidImage(f"The file cannot be opened: {error.strerror}.") from error


def caption_beside(picture: Path, files: Collection[Path], remarks: list[str]) -> tuple[str, str]:
    """(caption, kind) of the text file beside a picture, one of `files`; where there are both, the .txt."""
    found: list[tuple[str, str]] = []
    for kind in SIDECARS:
        for beside in (picture.with_suffix(kind), picture.with_name(picture.name + kind)):
            text = _text(beside) if beside in files else ""
            if text:
                found.append((text, kind.removeprefix(".")))
    if len({text for text, _ in found}) > 1:
        remarks.append(f"{picture.name} has a .txt and a .caption that differ; the .txt is taken.")
    if found and len(found[0][0]) > LONGEST_PROMPT:
        remarks.append(f"The caption of {picture.name} is cut after {LONGEST_PROMPT:,} characters.")
    return (found[0][0][:LONGEST_PROMPT], found[0][1]) if found else ("", "none")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_TEXT)
    except OSError:
        return ""
    coding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return " ".join(raw.decode(coding, "replace").replace("\0", "").split())


def entries(folder: Path, root: Path | None) -> list[Path]:
    """What lies in a folder, 2 before 10, without hidden files and what leads out of `root`."""
    try:
        with os.scandir(folder) as scan:
            names = [one.name for _, one in zip(range(MOST_ENTRIES + 1), scan, strict=False)]
    except OSError as error:
        raise refusal(f"The folder {folder.name!r} cannot be read: {error.strerror}.") from error
    if len(names) > MOST_ENTRIES:
        raise refusal(f"There are more than {MOST_ENTRIES:,} files in {folder.name!r}.")
    found = [folder / name for name in sorted(names, key=_natural) if not name.startswith(".")]
    return [one for one in found if root is None or one.resolve().is_relative_to(root)]


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Numbers by their value, words without case."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", name.casefold())
    return [(0, int(one), "") if one.isdecimal() and len(one) <= 18 else (1, 0, one) for one in parts]


def is_folder(path: Path) -> bool:
    """Whether it is one that can be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False


def listed(what: str, names: Sequence[str]) -> str:
    """A remark that names the first few.

    >>> listed("no pictures", ["a.psd"]), listed("cannot be read", ["a", "b"])
    ('1 file is no picture: a.psd.', '2 files cannot be read: a, b.')
    """
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    one, several = KINDS[what]
    return f"{one if len(names) == 1 else several.format(len(names))}: {shown}."


def refusal(message: str) -> InvalidRequest:
    """An error about the folder that somebody named."""
    return InvalidRequest(Problem(field="folder", message=message))
