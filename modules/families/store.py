"""A model on disk, one file or a folder of diffusers, as tensors with names."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import Header, read_header
from modules.families import folder, single_file
from modules.families.architecture import Architecture
from modules.families.configuration import Config, bundled, checked, configuration
from modules.families.open_clip import Source
from modules.families.original_layout import Layout, sources, usual_name

SCHEDULER = Path("scheduler") / "scheduler_config.json"


@dataclass(frozen=True, kw_only=True)
class Store:
    """Tensors by the name we look for them; `places` says in which file each lies, and under which name there.

    `in_diffusers_form`: the names are "unet/conv_in.weight" and so on. `scheduler`: what a folder says about the noise
    levels.
    """

    path: Path
    layout: Layout
    places: Mapping[str, tuple[Path, Header, str]] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    in_diffusers_form: bool = False
    scheduler: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """As messages call it."""
        return self.path.name

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that is there."""
        _, header, there = self.places[name]
        return header.shapes[there]

    def sources(self, part: str, config: Mapping[str, Any], names: Collection[str]) -> dict[str, Source]:
        """Where the parameters of a network, by their names, lie among our tensors."""
        if not self.in_diffusers_form:
            return sources(part, config, names, self.layout)
        bare = part.startswith("text_encoder")
        return {name: Source(f"{part}/{name.removeprefix('text_model.') if bare else name}") for name in names}

    def tensors(self, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """These tensors, file by file in the order they lie on disk. Raises InvalidModelFile."""
        by_file: dict[Path, dict[str, str]] = {}
        for name in names:
            path, _, there = self.places[name]
            by_file.setdefault(path, {})[there] = name
        for path, wanted in by_file.items():
            _, header, _ = self.places[next(iter(wanted.values()))]
            for there, tensor in single_file.tensors(path, header, wanted.keys()):
                yield wanted[there], tensor

    def configuration(self, architecture: Architecture) -> Config:
        """The networks' configuration: the folder's, the file's own, else the published one. Raises InvalidModelFile."""
        parts = architecture.layout.parts
        if self.path.is_dir():
            tables = {part: folder.json_of(self.path / part / "config.json") for part in parts}
            return checked(json.dumps(tables), self.name, parts)
        own = configuration(self.metadata, self.name, parts)
        if own is not None:
            return own
        published = bundled(architecture.configuration)
        published["unet"]["in_channels"] = architecture.channels
        return published


def opened(path: Path, layout: Layout) -> Store:
    """A model of this layout, of which nothing but headers is read yet. Raises InvalidModelFile."""
    if path.is_dir():
        return _folder(path, layout)
    header = read_header(path)
    _refuse_scaled(path.name, header)
    places = {usual_name(name): (path, header, name) for name in header.shapes}
    return Store(path=path, layout=layout, places=places, metadata=header.metadata)


def _folder(path: Path, layout: Layout) -> Store:
    places: dict[str, tuple[Path, Header, str]] = {}
    for part in layout.parts:
        places |= {f"{part}/{name}": place for name, place in folder.tensors_of(path, part).items()}
    scheduler = folder.json_of(path / SCHEDULER) if (path / SCHEDULER).is_file() else {}
    return Store(path=path, layout=layout, places=places, metadata={}, in_diffusers_form=True, scheduler=scheduler)


def _refuse_scaled(file_name: str, header: Header) -> None:
    if any(name == "scaled_fp8" or name.endswith(".scale_weight") for name in header.shapes):
        raise InvalidModelFile(
            f"{file_name} holds 8-bit numbers with a scale for each layer, which are not read; get the float16 version."
        )
