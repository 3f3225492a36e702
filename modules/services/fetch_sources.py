"""What people paste to get a model: a page of Civitai, an id of the Hugging Face hub, or a plain address; what it offers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from modules.services.fetch_net import Answer, Net, check_status, refused
from modules.services.shelf_notes import Notes

SAFE = (".safetensors",)
PICKLES = (".pt", ".pth", ".ckpt", ".bin")
LONGEST_NAME = 200
MOST_OFFERS = 50
LONGEST_SOURCE = 2000
CIVITAI_HOSTS = ("civitai.com", "www.civitai.com", "civitai.green", "civitai.red")
HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
KIND_OF_TYPE: Mapping[str, str] = {
    "Checkpoint": "checkpoint",
    "LORA": "lora",
    "LoCon": "lora",
    "DoRA": "lora",
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernetwork",
    "VAE": "vae",
    "Upscaler": "upscaler",
}
HUB_ID = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:/(.+))?", re.ASCII)
HUB_PATH = re.compile(r"/([\w-][\w.-]*/[\w-][\w.-]*)(?:/(?:resolve|blob|tree)/([^/]+)(?:/(.+))?)?/?", re.ASCII)
CIVITAI_PAGE = re.compile(r"/models/(\d{1,12})(?:/.*)?", re.ASCII)
CIVITAI_VERSION = re.compile(r"/api/(?:download/models|v1/model-versions)/(\d{1,12})", re.ASCII)
FORBIDDEN = frozenset('<>:"/\\|?*')


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One file that can be had. `kind` "": nobody said. `sha256` "": nobody said, so only the size can be checked."""

    url: str
    name: str
    size: int
    kind: str = ""
    sha256: str = ""
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Asks the sites what a source holds. `pickles`: files that are no safetensors are offered too."""

    net: Net
    hub: str = "https://huggingface.co"
    civitai: str = "https://civitai.com"

    def offers(self, source: str, *, token: str = "", pickles: bool = False) -> tuple[Offer, ...]:
        """What can be had there, the site's own first choice first. Raises InvalidRequest, Unreachable."""
        source = source.strip()
        if not source or len(source) > LONGEST_SOURCE:
            raise refused("Paste a page of Civitai, an id of the Hugging Face hub (owner/name), or an address.")
        if not token.isascii() or any(letter <= " " for letter in token):
            raise refused("The token holds a character that no token has; copy it again.")
        endings = SAFE + PICKLES if pickles else SAFE
        found = tuple(one for one in self._all(source, token) if one.name.casefold().endswith(endings))
        if not found:
            raise refused(
                "There is no .safetensors file there. Other kinds (.ckpt, .pt, .pth) could run code when loaded; "
                "tick 'Also other kinds' if you want one nevertheless."
            )
        return found[:MOST_OFFERS]

    def _all(self, source: str, token: str) -> Iterator[Offer]:
        hub_id = HUB_ID.fullmatch(source)
        if "://" not in source and hub_id:
            return self._of_hub(hub_id[1], "main", hub_id[2] or "", token)
        parts = urlsplit(source)
        if parts.hostname in HUB_HOSTS and (path := HUB_PATH.fullmatch(unquote(parts.path))):
            return self._of_hub(path[1], path[2] or "main", path[3] or "", token)
        if parts.hostname in CIVITAI_HOSTS:
            return self._of_civitai(parts.path, parse_qs(parts.query), token)
        return iter([self._of_address(source, token)])

    # -- the hub -----------------------------------------------------------------------------------------------------

    def _of_hub(self, repository: str, revision: str, path: str, token: str) -> Iterator[Offer]:
        where = f"{self.hub}/api/models/{repository}/tree/{quote(revision, safe='')}?recursive=true"
        listed = self.net.json(where, token=token)
        entries = [_table(entry) for entry in _list(listed)]
        for one in sorted(entries, key=lambda entry: str(entry.get("path", "")).count("/")):
            name = str(one.get("path", ""))
            if one.get("type") == "file" and (not path or name == path or name.startswith(f"{path.rstrip('/')}/")):
                large = _table(one.get("lfs"))
                yield Offer(
                    url=f"{self.hub}/{repository}/resolve/{quote(revision, safe='')}/{quote(name)}",
                    name=file_name(f"{repository}-{name}".replace("/", "-") if "/" in name else name),
                    size=_whole(large.get("size", one.get("size"))),
                    sha256=_hexadecimal(large.get("oid")),
                )

    # -- Civitai -----------------------------------------------------------------------------------------------------

    def _of_civitai(self, path: str, query: Mapping[str, list[str]], token: str) -> Iterator[Offer]:
        version = CIVITAI_VERSION.fullmatch(path)
        asked = version[1] if version else query.get("modelVersionId", [""])[0]
        if asked.isdecimal():
            found = _table(self.net.json(f"{self.civitai}/api/v1/model-versions/{int(asked)}", token=token))
            return _of_version(found, str(_table(found.get("model")).get("type", "")))
        page = CIVITAI_PAGE.fullmatch(path)
        if not page:
            raise refused("This page of Civitai is not a model's; its address has /models/ and a number.")
        model = _table(self.net.json(f"{self.civitai}/api/v1/models/{int(page[1])}", token=token))
        versions = [_table(one) for one in _list(model.get("modelVersions"))]
        return (offer for one in versions for offer in _of_version(one, str(model.get("type", ""))))

    # -- any address -------------------------------------------------------------------------------------------------

    def _of_address(self, url: str, token: str) -> Offer:
        with self.net.open(url, token=token) as answer:
            check_status(answer)
            return Offer(url=url, name=_name_of(answer, url), size=_length(answer))


def _of_version(version: Mapping[str, Any], kind: str) -> Iterator[Offer]:
    words = ", ".join(str(word).strip(" ,") for word in _list(version.get("trainedWords")))
    notes = Notes(activation_text=words[:2000], base=str(version.get("baseModel") or "")[:80])
    files = [_table(one) for one in _list(version.get("files"))]
    for one in sorted(files, key=lambda file: not file.get("primary")):
        yield Offer(
            url=str(one.get("downloadUrl", "")),
            name=file_name(str(one.get("name", ""))),
            size=0,  # the site gives kilobytes; the answer itself says bytes
            kind="vae" if one.get("type") == "VAE" else KIND_OF_TYPE.get(kind, ""),
            sha256=_hexadecimal(_table(one.get("hashes")).get("SHA256")),
            notes=notes,
        )


def file_name(said: str) -> str:
    """A name from elsewhere as a name for a file here: no folders, nothing that a system or a browser takes amiss.

    >>> file_name("../../etc/pass wd?.safetensors")
    'pass wd_.safetensors'
    """
    last = said.replace("\\", "/").rpartition("/")[2]
    clean = "".join("_" if letter in FORBIDDEN or not letter.isprintable() else letter for letter in last).strip(" .")
    stem, dot, ending = clean.rpartition(".")
    room = LONGEST_NAME - len(ending.encode()) - 1
    return f"{stem.encode()[:room].decode(errors='ignore')}{dot}{ending[:20]}" if dot and stem else ""


def size_of(net: Net, offer: Offer, token: str) -> int:
    """The size in bytes, asked for where the site did not say it."""
    if offer.size:
        return offer.size
    with net.open(offer.url, token=token) as answer:
        check_status(answer)
        return _length(answer)


def _length(answer: Answer) -> int:
    length = answer.headers.get("content-length", "")
    if not length.isdecimal() or len(length) > 15 or not int(length):
        raise refused("The server does not say how large the file is, so it is not fetched.")
    return int(length)


def _name_of(answer: Answer, url: str) -> str:
    found = re.search(r'filename="?([^";]+)', answer.headers.get("content-disposition", ""))
    return file_name(found[1] if found else unquote(urlsplit(url).path))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 48 else 0


def _hexadecimal(value: Any) -> str:
    text = str(value or "").lower()
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else ""
