"""Sets of pictures compared: FID, KID and Inception score, each with the extractor's name and N beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.training.evidence import Evidence, Look, Shot, joined
from modules.training.figures import Measure, plain
from modules.training.frechet import FEWEST, fid, inception_score, kid, softmax_fid


@dataclass(frozen=True, kw_only=True)
class _Extractor:
    """Who sees: features for distances, logits of classes for what works on probabilities, and their names.

    `spread`: what features are multiplied by for KID, whose kernel is made for entries of about 1.
    """

    name: str
    classes: str
    features: Callable[[Look], Tensor]
    logits: Callable[[Look], Tensor]
    spread: float = 1.0


def distribution(evidence: Evidence) -> list[Measure]:
    """All pictures that name the subject against the training pictures; nothing for fewer than two of either."""
    shots, training = evidence.with_subject, evidence.training
    count = sum(len(shot.drawn) for shot in shots)
    if min(len(training), count) < FEWEST:
        return []
    eyes = _inception(evidence) if evidence.instruments.deep is not None else _clip(evidence)
    drawn, base = _both(shots, eyes.features)
    odds, base_odds = _both(shots, eyes.logits)
    real, real_odds = eyes.features(training), eyes.logits(training)
    against = f"N={count} against {len(training)} training pictures"

    def measure(name: str, label: str, values: tuple[float, float], note: str, better: str = "low") -> Measure:
        value, floor = map(plain, values)
        note = f"{note}. Floor: the base model's pictures."
        known = {"n": count, "value": value, "floor": floor, "better": better, "group": "distribution"}
        return Measure(name=name, label=label, note=note, **known)  # pyright: ignore[reportArgumentType]

    return [
        measure("fid", f"FID (N={count})", (fid(drawn, real), fid(base, real)), f"{eyes.name}, {against}"),
        measure(
            "softmax_fid",
            f"FID as Subject2Subject (softmax, N={count})",
            (softmax_fid(odds, real_odds), softmax_fid(base_odds, real_odds)),
            f"{eyes.classes}, {against}; at most 2",
        ),
        measure(
            "kid",
            f"KID (N={count})",
            (kid(eyes.spread * drawn, eyes.spread * real), kid(eyes.spread * base, eyes.spread * real)),
            f"{eyes.name}, {against}; no bias from few",
        ),
        measure(
            "inception_score",
            f"Inception score (N={count})",
            (inception_score(odds), inception_score(base_odds)),
            f"{eyes.classes}, N={count}",
            "high",
        ),
    ]


def _inception(evidence: Evidence) -> _Extractor:
    deep = evidence.instruments.deep
    assert deep is not None

    def seen(part: int) -> Callable[[Look], Tensor]:
        return lambda found: (found.deep or ())[part]

    return _Extractor(name=deep.name, classes=f"{deep.name}, softmax", features=seen(0), logits=seen(1))


def _clip(evidence: Evidence) -> _Extractor:
    """Without Inception: CLIP's picture features; its classes are the captions of the pack, by their cosine."""
    instruments = evidence.instruments
    captions = torch.stack(list({shot.prompt.caption: shot.text for shot in evidence.with_subject}.values()))
    return _Extractor(
        name=instruments.extractor,
        classes=f"{instruments.extractor}, softmax over {len(captions)} captions",
        features=lambda found: found.features,
        logits=lambda found: instruments.sharpness * found.features @ captions.T,
        spread=captions.shape[1] ** 0.5,
    )


def _both(shots: Sequence[Shot], part: Callable[[Look], Tensor]) -> tuple[Tensor, Tensor]:
    """Of what was drawn, and of the base model's pictures."""
    return joined([part(shot.drawn) for shot in shots]), joined([part(shot.base) for shot in shots])
