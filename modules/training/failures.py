"""What goes wrong with a result: DreamBooth (Ruiz et al. 2022, arXiv:2208.12242), section 5.4, figure 17."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.training.evidence import Evidence, Look, Shot, each, joined, judged, reads
from modules.training.figures import Measure, average, mean_of, share, share_of
from modules.training.meters import memorised, nearest, nearest_among
from modules.training.packs import CONTEXT, SUBJECT, WEAR


def failures(evidence: Evidence) -> list[Measure]:
    """The three meters, as far as they can be read."""
    return [*_wrong_context(evidence), *_entanglement(evidence), *_memorised(evidence)]


def _wrong_context(evidence: Evidence) -> list[Measure]:
    """(a) The place of the prompt is not drawn."""
    known = {"group": "failure", "better": "low"}
    places = [shot for shot in evidence.of(CONTEXT) if shot.prompt.place and "place" in shot.drawn.read]
    if places:
        note = "How often the judge sees another place than the prompt's. Floor: chance. Ceiling: the base model."
        right, best = judged(places, reads("place")), judged(places, reads("place"), base=True)
        chance = 1 - 1 / len(evidence.instruments.words.places)
    else:
        places = list(evidence.of(CONTEXT))
        if len(places) < 2 or evidence.instruments.read is not None:
            return []
        note = "How often CLIP likes another context's caption better. Floor: chance. Ceiling: the base model."
        captions = torch.stack([shot.text for shot in places])
        right, best = retrieved(places, captions), retrieved(places, captions, base=True)
        chance = 1 - 1 / len(places)
    wrong, least = [not one for one in right], [not one for one in best]
    return [share_of("wrong_context", "Wrong context", wrong, floor=chance, ceiling=share(least), note=note, **known)]


def _entanglement(evidence: Evidence) -> list[Measure]:
    """(b) The context changes how the subject looks."""
    own = evidence.training.read.get("colour", ())
    shots = [shot for shot in evidence.of(CONTEXT, WEAR) if "colour" in shot.drawn.read]
    if not own or not shots:
        return []
    colour = max(sorted(set(own)), key=list(own).count)

    def changed(found: Look, shot: Shot) -> list[bool]:
        return [word != colour for word in found.read["colour"]]

    return [
        share_of(
            *("entanglement", "Entanglement"),
            judged(shots, changed),
            floor=1 - 1 / len(evidence.instruments.words.colours),
            ceiling=share(judged(evidence.of(SUBJECT), changed)),
            better="low",
            group="failure",
            note=f"How often the subject is no longer {colour} in a context. Floor: chance. Ceiling: without a context.",
        )
    ]


def _memorised(evidence: Evidence) -> list[Measure]:
    """(c) The training pictures come back."""
    training, shots = evidence.training.features, evidence.with_subject
    known = {"group": "failure", "better": "low"}
    among = nearest_among(training)
    near = mean_of(
        *("nearest", "Nearest training picture"),
        each(shots, lambda shot: nearest(shot.drawn.features, training)),
        floor=1.0,
        ceiling=average(each(shots, lambda shot: nearest(shot.base.features, training))),
        note="Highest cosine with a training picture. Floor: a copy. Ceiling: the base model. "
        + (f"The two most alike among them: {float(among.max()):.3f}." if len(among) else ""),
        **known,
    )
    untaught = joined([shot.base.features for shot in shots])
    copies = [bool(one) for shot in shots for one in memorised(shot.drawn.features, training, untaught)]
    note = (
        "Pictures nearer to a training picture than any two of those are to each other, and than any of the base "
        "model's comes. Ceiling: the base model's, none by definition."
    )
    return [near, share_of("memorised", "Memorised", copies, floor=1.0, ceiling=0.0, note=note, **known)]


def retrieved(shots: Sequence[Shot], captions: Tensor, base: bool = False) -> list[bool]:
    """Whether each picture fits its own caption best of all."""
    found = []
    for number, shot in enumerate(shots):
        best = ((shot.base if base else shot.drawn).features @ captions.T).argmax(dim=1)
        found += [one == number for one in best.tolist()]
    return found
