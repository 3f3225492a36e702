"""What moves the weights of the starter's parts: Muon for matrices and convolutions, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) makes every step of a matrix orthogonal; with the step
sizes of Liu et al. 2025, arXiv:2502.16982, it takes AdamW's rates. torch's own takes matrices only, so a convolution is
shown to it as one: a row for each channel that comes out. docs/starter.md says what it brings here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

APART = ("conv_in", "conv_out", "quant", "embed", "head", "class")  # names of the first and the last layers: AdamW's
GENTLY = 0.3  # what has learned already moves at this share of the rates
Map = Callable[[Callable[[Muon], None], Iterable[Muon]], Iterable[None]]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are not frozen, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


class Optimizer:
    """rate: of AdamW.  muon: of Muon; 0 leaves everything to AdamW.  shards: threads that share Muon's work.

    gentle: the start of the names of weights that have learned already and move more slowly; none by default.
    """

    def __init__(
        self,
        model: nn.Module,
        rate: float,
        muon: float,
        weight_decay: float,
        shards: int = 1,
        gentle: str | None = None,
    ) -> None:
        weights = trained(model)
        slow = {id(weight) for name, weight in weights.items() if gentle and name.startswith(gentle)}
        matrices = [weight for name, weight in weights.items() if muon and weight.ndim > 1 and not _is_apart(name)]
        theirs = {id(weight) for weight in matrices}
        rest = [weight for weight in weights.values() if id(weight) not in theirs]
        self.weights = list(weights.values())
        self._rates = (rate, muon)
        groups = _paced(rest, slow, lambda weight: weight)
        self._adam = AdamW(groups, lr=rate, weight_decay=weight_decay, betas=(0.9, 0.99), fused=True)
        matrices.sort(key=Tensor.numel, reverse=True)
        matrices.sort(key=lambda weight: id(weight) in slow)
        self._shards = [shard for n in range(shards) if (shard := matrices[n::shards])]
        self._muons = [
            Muon(
                _paced(shard, slow, lambda weight: _as_matrix(weight.detach())),
                lr=muon,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            for shard in self._shards
        ]

    def step(self, share: float, at_once: Map = map) -> None:
        """Move the weights by their `grad`.  share: of the highest rates.  at_once: a map that may use threads."""
        for optimizer, rate in [(self._adam, self._rates[0]), *((muon, self._rates[1]) for muon in self._muons)]:
            for group in optimizer.param_groups:
                group["lr"] = rate * share * group["pace"]
        self._adam.step()
        for muon, shard in zip(self._muons, self._shards, strict=True):
            matrices = [matrix for group in muon.param_groups for matrix in group["params"]]
            for matrix, weight in zip(matrices, shard, strict=True):
                matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, like=weight)
        list(at_once(_step, self._muons))

    def state_dict(self) -> dict[str, Any]:
        return {"adam": self._adam.state_dict(), "muon": [muon.state_dict() for muon in self._muons]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError for the state of a plan with other optimizers or another number of shards."""
        if len(state["muon"]) != len(self._muons):
            raise ValueError(f"the checkpoint has {len(state['muon'])} shards of Muon, not {len(self._muons)}")
        self._adam.load_state_dict(state["adam"])
        for muon, one in zip(self._muons, state["muon"], strict=True):
            muon.load_state_dict(one)


def _is_apart(name: str) -> bool:
    return any(part in name for part in APART)


def _paced(weights: Sequence[Tensor], slow: Set[int], shown: Callable[[Tensor], Tensor]) -> list[dict[str, Any]]:
    """Parameter groups, in the order of the weights: those whose id is not in `slow`, which come first, and the others."""
    parts = [[weight for weight in weights if (id(weight) in slow) == is_slow] for is_slow in (False, True)]
    paces = zip(parts, (1.0, GENTLY), strict=True)
    return [{"params": [shown(weight) for weight in part], "pace": pace} for part, pace in paces if part]


def _step(muon: Muon) -> None:
    muon.step()


def _as_matrix(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """(out, ...) as (out, n), in the order in which the weight lies in memory: a weight's own is no copy."""
    pattern = tensor if like is None else like
    if pattern.ndim == 4 and pattern.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.reshape(len(tensor), -1)
