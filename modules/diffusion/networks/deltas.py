"""What the parts of a network file add to a layer's weight, in float32.

LoRA: Hu et al. 2021, arXiv:2106.09685, §4.1.  LoHa: Hyeon-Woo et al. 2022, arXiv:2108.06098, prop. 1 and (for
convolutions) prop. 3.  LoKr and the forms for convolutions: Yeh et al. 2024 (LyCORIS), arXiv:2309.14859, §3.
DoRA: Liu et al. 2024, arXiv:2402.09353, eq. 5.  (IA)³: Liu et al. 2022, arXiv:2205.05638.

Letters: o outputs, i inputs of a layer, r ranks, k kernel places (kernel height x width; 1 for a linear layer).
Results are matrices (o, i·k), in the order of the weight's own numbers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]


def delta(parts: Parts, weight: Tensor, factor: float = 1.0, dyn: int | None = None) -> Tensor | None:
    """(o, i·k) to be added to `weight` (o, i, …), times `factor`; None when the parts have nothing for it.

    dyn: use only so many ranks of a LoRA. Raises KeyError when a part is missing, RuntimeError or IndexError for
    shapes that do not go together.
    """
    if "on_input" not in parts and numbers(parts) > weight.numel():
        raise RuntimeError("more numbers than the layer has")
    # the factor goes to the smallest matrix: over a whole model a pass over all weights is seconds
    if "up" in parts:
        return low_rank(parts["up"].float() * factor, parts["down"], parts.get("mid"), dyn)
    if "hada_w1_a" in parts:
        return hadamard({**parts, "hada_w1_a": parts["hada_w1_a"].float() * factor})
    for name in ("lokr_w1", "lokr_w1_a"):
        if name in parts:
            return kronecker({**parts, name: parts[name].float() * factor})
    if "diff" in parts:
        return _matrix(parts["diff"]) * factor
    if "on_input" in parts:
        return scaled_rows({**parts, "weight": parts["weight"].float() * factor}, weight)
    return None


def rank(parts: Parts) -> int | None:
    """The number r that alpha is divided by; None for parts that are not factored."""
    for name, axis in (("down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("lokr_w1_b", 0), ("lokr_t2", 0)):
        if name in parts:
            return parts[name].shape[axis]
    return None


def numbers(parts: Parts) -> int:
    """How many numbers `delta` would make; known before it does, as two small tensors can make a gigantic third."""
    if "up" in parts:
        kernel = 1 if "mid" not in parts else parts["mid"][0, 0].numel()
        return parts["up"].shape[0] * parts["down"][0].numel() * kernel
    if "hada_w1_a" in parts:
        return _of_product(parts, "hada_w1", "hada_t1")
    if "lokr_w1" in parts or "lokr_w1_a" in parts:
        return _of_product(parts, "lokr_w1", "") * _of_product(parts, "lokr_w2", "lokr_t2")
    return parts["diff"].numel() if "diff" in parts else 0


def _of_product(parts: Parts, name: str, core: str) -> int:
    if name in parts:
        return parts[name].numel()
    a, b = parts[f"{name}_a"], parts[f"{name}_b"]
    if core in parts:
        return a.shape[1] * b.shape[1] * parts[core][0, 0].numel()
    return a.shape[0] * b[0].numel()


def low_rank(up: Tensor, down: Tensor, mid: Tensor | None = None, dyn: int | None = None) -> Tensor:
    """up (o, r) · down (r, i·k); with `mid` (r, r, kernel) the one 3x3 step of three: 1x1 down, mid, 1x1 up."""
    up, down = _matrix(up)[:, :dyn], _matrix(down)[:dyn]
    if mid is None:
        return up @ down
    core = mid.float()[:dyn, :dyn]
    return torch.einsum("or,rs...,si->oi...", up, core, down).flatten(1)


def hadamard(parts: Parts) -> Tensor:
    """(w1_a · w1_b) ⊙ (w2_a · w2_b); with cores t1, t2 (r, r, kernel) each is a Tucker product instead."""
    return _half(parts, "1") * _half(parts, "2")


def _half(parts: Parts, number: str) -> Tensor:
    a, b = parts[f"hada_w{number}_a"].float(), parts[f"hada_w{number}_b"].float()
    core = parts.get(f"hada_t{number}")
    return a @ b.flatten(1) if core is None else _tucker(core, a, b)


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """core (r, s, kernel), a (r, o), b (s, i) -> (o, i·k)."""
    return torch.einsum("rs...,ro,si->oi...", core.float(), a, b).flatten(1)


def kronecker(parts: Parts) -> Tensor:
    """w1 ⊗ w2, each whole or in two factors; w2 may have a core t2."""
    w1 = parts["lokr_w1"].float() if "lokr_w1" in parts else _product(parts, "lokr_w1")
    if "lokr_w2" in parts:
        w2 = _matrix(parts["lokr_w2"])
    elif "lokr_t2" in parts:
        w2 = _tucker(parts["lokr_t2"], parts["lokr_w2_a"].float(), parts["lokr_w2_b"].float())
    else:
        w2 = _product(parts, "lokr_w2")
    return torch.kron(_matrix(w1), w2)


def _product(parts: Parts, name: str) -> Tensor:
    return _matrix(parts[f"{name}_a"]) @ _matrix(parts[f"{name}_b"])


def scaled_rows(parts: Parts, weight: Tensor) -> Tensor:
    """(IA)³: every output, or every input, of the layer by a factor of its own."""
    factor = parts["weight"].float().flatten()
    inputs = bool(parts["on_input"])
    shape = (1, -1, 1) if inputs else (-1, 1, 1)
    return (weight.flatten(2) if weight.ndim > 2 else weight.unsqueeze(2)).float().mul(factor.view(shape)).flatten(1)


def decomposed(weight: Tensor, added: Tensor, parts: Parts) -> Tensor:
    """DoRA: what to add so that `weight` + `added` (o, i·k) has the magnitudes that the parts state.

    A magnitude is per output (o,) or, in LyCORIS files of the shape (1, i, …), per input.
    """
    matrix = weight.float().flatten(1)
    merged = matrix + added
    if _is_per_input(parts, weight):
        by_input = merged.view(weight.shape[0], weight.shape[1], -1)
        norm = by_input.norm(dim=(0, 2)).view(1, -1, 1)
        wanted = parts["dora"].float().view(1, -1, 1)
        return (by_input * (wanted / norm)).flatten(1) - matrix
    wanted = parts["magnitude" if "magnitude" in parts else "dora"].float().view(-1, 1)
    return merged * (wanted / merged.norm(dim=1, keepdim=True)) - matrix


def _is_per_input(parts: Parts, weight: Tensor) -> bool:
    shape = parts["dora"].shape if "dora" in parts else ()
    return len(shape) > 1 and shape[0] == 1 and shape[1] == weight.shape[1] and "magnitude" not in parts


def _matrix(tensor: Tensor) -> Tensor:
    """(o, i, …) as (o, i·k), float32; a vector stays one column."""
    return tensor.float().flatten(1) if tensor.ndim > 1 else tensor.float().unsqueeze(1)
