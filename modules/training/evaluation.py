"""Every figure that an evaluation prints, in the order of the table. Each answers a list: empty where nothing can be said.

The floor is what the base model does, or chance; the ceiling what the training pictures themselves, or the base model
with the plain class noun, reach.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from modules.training.clip_score import clip_i, clip_i_among, clip_scores, hessel_score
from modules.training.distribution import distribution
from modules.training.evidence import Evidence, Shot, base_identities, each, identities, joined, judged, reads
from modules.training.failures import failures
from modules.training.figures import Measure, average, mean_of, share, share_of
from modules.training.meters import distances, effective_number, nearest
from modules.training.packs import CLASS, COLOUR, CONTEXT, SUBJECT, WEAR


def measures(evidence: Evidence) -> list[Measure]:
    """The whole table."""
    parts = (_identity, _likeness, _prompts, _class, failures, distribution)
    return [measure for part in parts for measure in part(evidence)]


def scores(shot: Shot, evidence: Evidence) -> dict[str, float | None]:
    """What one prompt's pictures reach, for the list of prompts."""
    texts = shot.text.expand_as(shot.drawn.features)
    found: dict[str, float | None] = {
        "clip": average(clip_scores(shot.drawn.features, texts)),
        "base_clip": average(clip_scores(shot.base.features, texts)),
        "nearest": average(nearest(shot.drawn.features, evidence.training.features)),
    }
    if shot.drawn.identity is not None:
        found["identity"] = average(shot.drawn.identity)
        found["base_identity"] = average(shot.base.identity)
    for slot in ("place", "wear", "colour"):
        if getattr(shot.prompt, slot) and slot in shot.drawn.read:
            found[slot] = share(reads(slot)(shot.drawn, shot))
            found[f"base_{slot}"] = share(reads(slot)(shot.base, shot))
    return found


def caveats(evidence: Evidence) -> list[str]:
    """What whoever reads the table must know; see docs/evaluation.md."""
    drawn = sum(len(shot.drawn) for shot in evidence.with_subject)
    found = [
        f"FID, KID and Inception score are of {drawn} pictures against {len(evidence.training)}: so few that the FID is "
        "mostly bias. Compare it only with runs of the same N and the same extractor, never with published numbers.",
        "Inception's features know ImageNet, and these extractors their own worlds: no network's taste is people's. "
        "Subject2Subject says so of its own table.",
        "CLIP score is measured against the prompt with the class noun in place of the identifier, which CLIP cannot know.",
    ]
    if evidence.instruments.identity is None:
        found.append(
            "No probe knows this subject's marks: likeness is CLIP-I, which also rewards copying the background."
        )
    if evidence.instruments.read is None:
        found.append("No judge knows this model's world: contexts are judged by which of the captions CLIP likes best.")
    return found


# The subject ------------------------------------------------------------------------------------------------------------


def _identity(evidence: Evidence) -> list[Measure]:
    if evidence.instruments.identity is None:
        return []
    asked = (
        ("identity", "Identity", evidence.of(SUBJECT), "How surely the probe sees the subject's own marks."),
        ("identity_context", "Identity in contexts", evidence.away, "The same where the prompt asks for more."),
    )
    return [
        mean_of(
            *(name, label, each(shots, identities)),
            floor=average(each(shots, base_identities)),
            ceiling=average(evidence.training.identity),
            note=f"{note} Floor: the base model. Ceiling: the training pictures.",
        )
        for name, label, shots, note in asked
        if shots
    ]


def _likeness(evidence: Evidence) -> list[Measure]:
    portraits, training = evidence.of(SUBJECT) or evidence.with_subject, evidence.training.features
    return [
        mean_of(
            *("clip_i", "CLIP-I"),
            each(portraits, lambda shot: clip_i(shot.drawn.features, training)),
            floor=average(each(portraits, lambda shot: clip_i(shot.base.features, training))),
            ceiling=average(clip_i_among(training)),
            note="Mean cosine with the training pictures. Floor: the base model. Ceiling: they among themselves.",
        )
    ]


# The prompt -------------------------------------------------------------------------------------------------------------


def _prompts(evidence: Evidence) -> list[Measure]:
    shots = evidence.with_subject
    features = joined([shot.drawn.features for shot in shots])
    texts = joined([shot.text.expand_as(shot.drawn.features) for shot in shots])
    score = mean_of(
        *("clip_score", "CLIP score"),
        clip_scores(features, texts),
        floor=average(clip_scores(features, texts.roll(len(shots[0].drawn), dims=0))) if len(shots) > 1 else None,
        ceiling=average(
            each(shots, lambda shot: clip_scores(shot.base.features, shot.text.expand_as(shot.base.features)))
        ),
        group="prompt",
        note=f"100 · cos, as torchmetrics; as Hessel et al. {hessel_score(features, texts):.3f}. Floor: each picture with "
        "the next prompt's caption. Ceiling: the base model without the identifier.",
    )
    return [score, *(one for slot in ("place", "wear", "colour") for one in _obeyed(evidence, slot))]


def _obeyed(evidence: Evidence, slot: str) -> list[Measure]:
    """How often the judge finds what the prompt asks for."""
    role = {"place": CONTEXT, "wear": WEAR, "colour": COLOUR}[slot]
    shots = [shot for shot in evidence.of(role) if getattr(shot.prompt, slot) and slot in shot.drawn.read]
    if not shots:
        return []
    label = {"place": "Place obeyed", "wear": "Accessory obeyed", "colour": "New colour obeyed"}[slot]
    answers = {"place": "places", "wear": "wear", "colour": "colours"}[slot]
    return [
        share_of(
            *(slot, label),
            judged(shots, reads(slot)),
            floor=1 / (len(getattr(evidence.instruments.words, answers)) + (slot == "wear")),
            ceiling=share(judged(shots, reads(slot), base=True)),
            group="prompt",
            note="By the judge. Floor: chance. Ceiling: the base model with the class noun.",
        )
    ]


# The class --------------------------------------------------------------------------------------------------------------


def _class(evidence: Evidence) -> list[Measure]:
    shots = evidence.of(CLASS)
    if not shots:
        return []
    drawn, base = _spread(shots), _spread(shots, base=True)
    diversity = mean_of(
        *("diversity", "Diversity of the class"),
        drawn,
        ceiling=average(base),
        group="class",
        note="Mean distance (1 - cos) between pictures of the plain class. Ceiling: the base model's.",
    )
    return [*_drift(evidence, shots), diversity, _kept("diversity", diversity), *_colours(shots)]


def _drift(evidence: Evidence, shots: Sequence[Shot]) -> list[Measure]:
    """Language drift: the plain class has become the subject."""
    known = {"group": "class", "better": "low"}
    if evidence.instruments.identity is not None:
        return [
            mean_of(
                *("drift", "Drift"),
                each(shots, identities),
                floor=average(each(evidence.of(SUBJECT), identities)),
                ceiling=average(each(shots, base_identities)),
                note="Identity on the plain class, without the identifier. Floor: with it. Ceiling: the base model's.",
                **known,
            )
        ]
    training = evidence.training.features
    return [
        mean_of(
            *("drift", "Drift (CLIP-I)"),
            each(shots, lambda shot: clip_i(shot.drawn.features, training)),
            floor=average(each(evidence.of(SUBJECT), lambda shot: clip_i(shot.drawn.features, training))),
            ceiling=average(each(shots, lambda shot: clip_i(shot.base.features, training))),
            note="CLIP-I of the plain class with the training pictures. Floor: with the identifier. Ceiling: base model.",
            **known,
        )
    ]


def _colours(shots: Sequence[Shot]) -> list[Measure]:
    drawn = [word for shot in shots for word in shot.drawn.read.get("colour", ())]
    base = [word for shot in shots for word in shot.base.read.get("colour", ())]
    if not drawn:
        return []
    colours = Measure(
        name="colours",
        label="Colours of the class",
        value=effective_number(drawn),
        n=len(drawn),
        floor=1.0,
        ceiling=effective_number(base),
        group="class",
        note="Effective number: exp of the entropy of the judge's answers. Depends on N; ceiling: the base model's.",
    )
    return [colours, _kept("colours", colours)]


def _kept(name: str, measure: Measure) -> Measure:
    """What part of the base model's is left."""
    value = measure.value / measure.ceiling if measure.value is not None and measure.ceiling else None
    label = f"{measure.label}, kept"
    note = "As a part of the base model's, with the same seeds."
    bare = replace(measure, name=f"{name}_kept", label=label, value=value, note=note, low=None, high=None)
    return replace(bare, floor=0.0, ceiling=1.0)


def _spread(shots: Sequence[Shot], base: bool = False) -> Tensor:
    return each(shots, lambda shot: distances((shot.base if base else shot.drawn).features))
