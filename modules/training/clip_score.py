"""How well pictures fit words and other pictures, by CLIP's cosine: Hessel et al. 2021, arXiv:2104.08718.

All vectors are unit vectors, (n, d), from any image and text tower.
"""

from torch import Tensor

PERCENT = 100.0  # torchmetrics' scale, which tables of the field print: 24 to 33 for real CLIP
HESSEL = 2.5  # the paper's


def clip_scores(pictures: Tensor, texts: Tensor) -> Tensor:
    """100 · cos of each picture with its own text, (n,)."""
    return PERCENT * (pictures * texts).sum(dim=-1)


def clip_score(pictures: Tensor, texts: Tensor) -> float:
    """max(mean(100 · cos), 0): as torchmetrics gives it, and the scale of Subject2Subject's table."""
    return max(0.0, float(clip_scores(pictures, texts).mean()))


def hessel_score(pictures: Tensor, texts: Tensor) -> float:
    """mean(2.5 · max(cos, 0)): the paper's own convention."""
    return float((HESSEL * (pictures * texts).sum(dim=-1).clamp(min=0)).mean())


def clip_i(pictures: Tensor, others: Tensor) -> Tensor:
    """Mean cosine of each picture with all the others, (n,): how alike they look, wherever the subject stands."""
    return (pictures @ others.T).mean(dim=1)


def clip_i_among(pictures: Tensor) -> Tensor:
    """Mean cosine of each picture with the rest of its own set, (n,); empty for fewer than two."""
    count = len(pictures)
    if count < 2:
        return pictures.new_empty(0)
    cosines = pictures @ pictures.T
    return (cosines.sum(dim=1) - cosines.diagonal()) / (count - 1)
