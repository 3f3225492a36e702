"""What is drawn to measure a result: packs of prompts. Knows no torch, so that the page can show them too.

"subject2subject": the twenty prompts of that report, <sks-dog> replaced. "quick" and "full": the questions of DreamBooth
(Ruiz et al. 2022, arXiv:2208.12242, sections 5.1 to 5.4) that a small budget and a generous one can answer.
"""

from dataclasses import dataclass

from modules.core.training import TrainingPlan
from modules.prompts.wording import with_article

SUBJECT, CONTEXT, WEAR, COLOUR, STYLE, CLASS = "subject", "context", "wear", "colour", "style", "class"
PACKS = ("quick", "full", "subject2subject")
PICTURES = {"subject2subject": 2}  # for each prompt, when a training is measured at its end
USUAL_PICTURES = 8

# Where to look for a place when nobody says which ones the model knows; the first three are the quick pack's.
PLACES = ("in the snow", "on the beach", "in the city", "on the grass", "in the ocean", "in space", "in the jungle")
STYLES = ("a painting of {}", "a sketch of {}")
COLOURS = ("red", "blue")
HATS = ("a red hat", "a blue hat")

# "a <sks-dog> ...", and which known place or wear it speaks of ("" for none the small world has).
SUBJECT2SUBJECT = (
    ("in the jungle", "in the jungle"),
    ("in the snow", "in the snow"),
    ("on the beach", "on the beach"),
    ("on top of a wooden floor", "on a wooden floor"),
    ("with a mountain in the background", "in the mountains"),
    ("with a city in the background", "in the city"),
    ("with a blue house in the background", ""),
    ("wearing a red hat", "hat"),
    ("wearing a yellow shirt", ""),
    ("sitting near the window", "by the window"),
    ("on top of green grass with sunflowers around it", "on the grass"),
    ("wearing a tuxedo", ""),
    ("walking on a red carpet on the beach", "on the beach"),
    ("on top of the sidewalk in a crowded city", "in the city"),
    ("with the Taj Mahal in the background", ""),
    ("getting a bath", ""),
    ("surfing on a wave", "in the ocean"),
    ("floating in space", "in space"),
    ("jumping in the air", ""),
    ("sleeping on a bed", "on a bed"),
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the model's world has names for, as a judge of it says; empty where nobody knows."""

    subjects: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    wear: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt of a pack.

    `text` names the subject as it was taught; `caption` says the same with the class noun, for those who do not know
    it: the base model and CLIP. `place`, `wear`, `colour`: what a judge should find there.
    """

    role: str
    text: str
    caption: str
    place: str = ""
    wear: str = ""
    colour: str = ""

    @property
    def base_text(self) -> str:
        """What the base model draws beside it: what the token drew before, else what can be drawn at all."""
        return self.text if self.role == SUBJECT else self.caption


def subject_of(plan: TrainingPlan) -> str:
    """How prompts name what was taught: "sks cat", or the embedding's own name.

    >>> subject_of(TrainingPlan(class_noun="cat"))
    'sks cat'
    >>> subject_of(TrainingPlan(method="textual_inversion", name="my-cat", class_noun="cat"))
    'my-cat'
    >>> subject_of(TrainingPlan(class_noun="dog", instance_prompt="a photo of <sks-dog>"))
    '<sks-dog>'
    """
    if plan.method == "textual_inversion":
        return plan.name
    joined = f"<{plan.identifier}-{plan.class_noun}>"  # Subject2Subject's way
    if joined in plan.instance_prompt:
        return joined
    return " ".join(word for word in (plan.identifier, plan.class_noun) if word)


def prompts_of(pack: str, plan: TrainingPlan, words: Words | None = None, noun: str = "") -> tuple[Prompt, ...]:
    """The prompts of a pack for a plan's subject, in a world of these words.

    `noun`: what the subject really is, where it was taught by another noun or by none.
    """
    known = words or Words()
    asked = _Asked(subject=subject_of(plan), noun=noun or plan.class_noun or "thing")
    return _prompts(pack, asked, known)


def pictures_of(pack: str) -> int:
    """How many pictures of each prompt are usual."""
    return PICTURES.get(pack, USUAL_PICTURES)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """How a subject is named, and what it is."""

    subject: str
    noun: str


def _prompts(pack: str, asked: _Asked, known: Words) -> tuple[Prompt, ...]:
    if pack == "subject2subject":
        return _subject2subject(asked, known)
    places = known.places or PLACES
    first = tuple(one for one in PLACES if one in places)[:3] or tuple(places)[:3]
    quick = (_portrait(asked), *(_in(asked, place) for place in first), _class(asked))
    if pack == "quick":
        return quick
    rest = (_in(asked, place) for place in places if place not in first)
    return (*quick[:-1], *rest, *_dressed(asked, known), *_recoloured(asked, known), *_styled(asked, known), quick[-1])


def _portrait(asked: _Asked) -> Prompt:
    text = f"a photo of {asked.subject}"
    return Prompt(role=SUBJECT, text=text, caption=f"a photo of {with_article(asked.noun)}")


def _class(asked: _Asked) -> Prompt:
    text = with_article(asked.noun)
    return Prompt(role=CLASS, text=text, caption=text)


def _in(asked: _Asked, place: str) -> Prompt:
    return _said(asked, CONTEXT, "{} " + place, place=place)


def _dressed(asked: _Asked, words: Words) -> tuple[Prompt, ...]:
    hats = HATS if not words.wear or "hat" in words.wear else ()
    others = [with_article(one) for one in words.wear if one != "hat"]
    return tuple(
        _said(asked, WEAR, "{} wearing " + one, wear="hat" if one in hats else one) for one in (*hats, *others)
    )


def _recoloured(asked: _Asked, words: Words) -> tuple[Prompt, ...]:
    colours = [one for one in COLOURS if not words.colours or one in words.colours]
    return tuple(
        Prompt(role=COLOUR, text=f"a {one} {asked.subject}", caption=f"a {one} {asked.noun}", colour=one)
        for one in colours
    )


def _styled(asked: _Asked, words: Words) -> tuple[Prompt, ...]:
    """None in a small world, which draws in one style only."""
    return () if words.subjects else tuple(_said(asked, STYLE, one) for one in STYLES)


def _subject2subject(asked: _Asked, words: Words) -> tuple[Prompt, ...]:
    return tuple(
        _said(
            asked,
            WEAR if text.startswith("wearing") else CONTEXT,
            "{} " + text,
            place=about if about in words.places else "",
            wear=about if about in words.wear else "",
        )
        for text, about in SUBJECT2SUBJECT
    )


def _said(asked: _Asked, role: str, form: str, *, place: str = "", wear: str = "") -> Prompt:
    """`form` holds {} where the subject goes."""
    subject, noun = with_article(asked.subject), with_article(asked.noun)
    return Prompt(
        role=role,
        text=form.format(subject),
        caption=form.format(noun),
        place=place,
        wear=wear.removeprefix("an ").removeprefix("a "),
    )
