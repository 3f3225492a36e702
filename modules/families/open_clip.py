"""OpenCLIP's text tower in its own names (Ilharco et al. 2021, github.com/mlfoundations/open_clip), as files hold it.

The numbers are those of CLIP. Query, key and value are stacked in one tensor, and the projection is turned.
"""

import re
from dataclasses import dataclass

from torch import Tensor

LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
OUTSIDE = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
IN_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
STACKED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
PROJECTION = "text_projection"


@dataclass(frozen=True)
class Source:
    """Where a parameter lies: in the tensor `name` of the file, of which it may be one `third`, or the transpose."""

    name: str
    third: int | None = None
    turned: bool = False

    def of(self, tensor: Tensor) -> Tensor:
        """The parameter, from the tensor of the file."""
        if self.third is not None:
            return tensor.chunk(3)[self.third]
        return tensor.t().contiguous() if self.turned else tensor

    def shape(self, parameter: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the file's tensor, by that of the parameter."""
        if self.third is not None:
            return (3 * parameter[0], *parameter[1:])
        return parameter[::-1] if self.turned else parameter


def place_in_open_clip(prefix: str, name: str) -> Source:
    """Where the parameter that transformers calls `name` lies. Raises KeyError for one that OpenCLIP does not have."""
    if name == "text_projection.weight":
        return Source(prefix + PROJECTION, turned=True)
    layer = LAYER.fullmatch(name)
    if layer is None:
        return Source(prefix + OUTSIDE[name])
    number, module, kind = layer.groups()
    block = f"{prefix}transformer.resblocks.{number}."
    if module in STACKED:
        return Source(f"{block}attn.in_proj_{kind}", third=STACKED.index(module))
    return Source(f"{block}{IN_LAYER[module]}.{kind}")


def last_layer(prefix: str, layers: int) -> str:
    """A tensor of the last of so many layers."""
    return f"{prefix}transformer.resblocks.{layers - 1}.ln_1.weight"
