"""The tensor names of network files, sorted by layer and by the part each plays there.

A name is a layer's, as the file's author writes it, and a suffix. kohya: `….lora_down.weight`, `….alpha`; LyCORIS:
`….hada_w1_a`, `….lokr_w1`, `….diff`; diffusers and peft: `….lora_A.weight`, earlier `…_lora.down.weight`,
`….processor.…`. The parts have one name each here: "down", "up", "mid", "alpha", "dora" (a magnitude, shaped to say
of what), "magnitude" (always per output), "diff", "diff_b", "bias", "on_input", and LyCORIS' own `hada_…`, `lokr_…`.
"""

from collections.abc import Mapping

from torch import Tensor

PEFT = "base_model.model."
_LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")
_LOKR = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
SUFFIXES: Mapping[str, str] = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_B.bias": "bias",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora.alpha": "alpha",
    "_lora.alpha": "alpha",
    ".alpha": "alpha",
    ".dora_scale": "dora",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
    ".diff": "diff",
    ".diff_b": "diff_b",
    ".w_norm": "diff",
    ".b_norm": "diff_b",
    ".on_input": "on_input",
    ".weight": "weight",
} | {f".{name}": name for name in (*_LOHA, *_LOKR)}

# the attention of old diffusers files is named after the U-Net's also in the text encoder
OLD_ATTENTION = {
    ".self_attn.to_q": ".self_attn.q_proj",
    ".self_attn.to_k": ".self_attn.k_proj",
    ".self_attn.to_v": ".self_attn.v_proj",
    ".self_attn.to_out": ".self_attn.out_proj",
    ".attn1.to_out": ".attn1.to_out.0",
    ".attn2.to_out": ".attn2.to_out.0",
}


def by_layer(tensors: Mapping[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """(parts by layer, names that no network file is known to have)."""
    layers: dict[str, dict[str, Tensor]] = {}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        suffix = _suffix(name)
        if suffix is None:
            unknown.append(name)
        else:
            layers.setdefault(_layer(name[: -len(suffix)]), {})[SUFFIXES[suffix]] = tensor
    return layers, unknown


def _suffix(name: str) -> str | None:
    """The longest that fits: `….lora_up.weight` ends in `.weight` too."""
    return max((suffix for suffix in SUFFIXES if name.endswith(suffix)), key=len, default=None)


def _layer(name: str) -> str:
    name = name.replace(PEFT, "").replace(".processor.", ".").removesuffix(".processor")
    for old, new in OLD_ATTENTION.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
