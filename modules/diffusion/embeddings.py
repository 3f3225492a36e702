"""Textual inversion: vectors of a file in place of a word's (Gal et al. 2022, arXiv:2208.01618, §4).

A file holds v vectors for each text encoder it was made for. Prompts name it by file name; `prompts/chunks.py` leaves
v places free (`Chunk.inserted`), and the vectors are put there behind the encoder's table of token embeddings.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from modules.core.errors import InvalidModelFile
from modules.diffusion.networks.tensors import is_safe, read_pickle, read_tensors

CLIP_L, CLIP_H, CLIP_G = "clip_l", "clip_h", "clip_g"
WIDTHS = {768: CLIP_L, 1024: CLIP_H, 1280: CLIP_G}
OTHER = "clip"  # a width that none of the published encoders has
NAMES = {CLIP_L: CLIP_L, CLIP_G: CLIP_G, "text_encoders_0": CLIP_L, "text_encoders_1": CLIP_G}
MOST_VECTORS, WIDEST = 1024, 1 << 14


class Inserted(Protocol):
    """`offset`: index into the 77 tokens where the first vector of the embedding `name` goes."""

    @property
    def offset(self) -> int: ...

    @property
    def name(self) -> str: ...


class Chunk(Protocol):
    """77 tokens with places kept free for embeddings."""

    @property
    def inserted(self) -> Sequence[Inserted]: ...


# Into the text encoder ------------------------------------------------------------------------------------------------


def embedded(token_embeddings: Tensor, chunks: Sequence[Chunk], tables: Mapping[str, Tensor]) -> Tensor:
    """Token embeddings (b, 77, d) of b chunks, with the vectors of `tables` in the places the chunks kept for them.

    tables: by the name in the chunk, (v, d) for this text encoder; a name it does not hold is left as it is, and what
    does not fit into the 77 is cut off.
    """
    changed = token_embeddings.clone()
    places = changed.shape[1]
    for row, chunk in enumerate(chunks):
        for one in chunk.inserted:
            if one.name in tables:
                vectors = tables[one.name][: places - one.offset]
                # by index: rows taken out by iteration could not pass gradients on
                changed[row, one.offset : one.offset + len(vectors)] = vectors.to(changed)
    return changed


@contextmanager
def inserting(text_encoder: Any, chunks: Sequence[Chunk], tables: Mapping[str, Tensor]) -> Iterator[None]:
    """While inside, the encoder (of transformers), called with the tokens of these chunks, sees the vectors in them."""
    if not any(one.name in tables for chunk in chunks for one in chunk.inserted):
        yield
        return
    hook = text_encoder.get_input_embeddings().register_forward_hook(
        lambda _module, _arguments, output: embedded(output, chunks, tables)
    )
    try:
        yield
    finally:
        hook.remove()


# From files -----------------------------------------------------------------------------------------------------------


def load_embedding(path: Path) -> dict[str, Tensor]:
    """The vectors (v, d), float32, by text encoder: "clip_l", "clip_g", "clip_h" (by width when the file names none).

    Reads the forms of A1111 (`string_to_param`), kohya and ComfyUI (`emb_params`, `clip_l` with `clip_g`) and diffusers
    (`<token>`). Raises InvalidModelFile with a sentence.
    """
    content = read_tensors(path)[1] if is_safe(path) else read_pickle(path)
    found = {name: tensor for name, tensor in _tables(content).items() if isinstance(tensor, Tensor)}
    if not found:
        raise InvalidModelFile(f"{path.name} is no textual inversion embedding: no vectors are where they should be.")
    return dict(_checked(path.name, name, tensor) for name, tensor in found.items())


def _tables(content: Any) -> Mapping[str, Any]:
    """By encoder, or one table under "" for the encoder that has its width."""
    if not isinstance(content, Mapping):
        return {}
    if any(name in content for name in NAMES):
        return {encoder: content[name] for name, encoder in NAMES.items() if name in content}
    if "string_to_param" in content:
        inner = dict(content["string_to_param"].items())
        return {"": inner.get("*", next(iter(inner.values()), None))}
    tensors = [value for value in content.values() if isinstance(value, Tensor)]
    if "emb_params" in content:
        return {"": content["emb_params"]}
    return {"": tensors[0]} if len(tensors) == 1 else {}


def _checked(file_name: str, encoder: str, tensor: Tensor) -> tuple[str, Tensor]:
    vectors = tensor.detach().unsqueeze(0) if tensor.ndim == 1 else tensor.detach()
    if not _is_table(vectors):
        raise InvalidModelFile(f"{file_name} is no textual inversion embedding: it has the shape {list(tensor.shape)}.")
    vectors = vectors.float()
    if not torch.isfinite(vectors).all():
        raise InvalidModelFile(f"{file_name} is damaged: some of its numbers are infinite or not a number.")
    return encoder or WIDTHS.get(vectors.shape[1], OTHER), vectors


def _is_table(vectors: Tensor) -> bool:
    fits = vectors.ndim == 2 and 0 < vectors.shape[0] <= MOST_VECTORS and 0 < vectors.shape[1] <= WIDEST
    return fits and vectors.is_floating_point()


def fitting(loaded: Mapping[str, Tensor], widths: Mapping[str, int]) -> dict[str, Tensor]:
    """The tables of an embedding by the encoders of a model; `widths` are theirs, by name. Empty when made for others.

    A table goes to the encoder of its name, or to the only one of its width. SDXL's pairs do not fit a model that has
    the smaller encoder only: its half of the pair means nothing alone. SDXL's refiner takes the other half.
    """
    found = {encoder: _table_for(loaded, encoder, width) for encoder, width in widths.items()}
    complete = {encoder: table for encoder, table in found.items() if table is not None}
    whole = len(complete) == len(widths) and (len(loaded) == len(widths) or set(widths.values()) == {1280})
    return complete if whole else {}


def _table_for(loaded: Mapping[str, Tensor], encoder: str, width: int) -> Tensor | None:
    named = loaded.get(encoder)
    if named is not None and named.shape[1] == width:
        return named
    same_width = [table for table in loaded.values() if table.shape[1] == width]
    return same_width[0] if len(same_width) == 1 else None
