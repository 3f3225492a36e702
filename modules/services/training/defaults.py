"""A plan as somebody asked for it, with everything filled in that was left open: steps, rates, prompts, sizes, names."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from modules.core.errors import InvalidRequest, Problem, UnknownName
from modules.core.events import Choice
from modules.core.named import Names
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.core.training_fields import LONGEST_FILE_NAME

STEPS_EACH, FEWEST_STEPS, MOST_STEPS = 100, 400, 2000
PREVIEWS, SAVES = 10, 5
INVERSION = "textual_inversion"
KNOWN_METHODS = (  # until the first engine has told what it knows
    Choice(name="lora", options=("kohya",), value=1e-4),
    Choice(name="dreambooth", aliases=("full",), options=("checkpoint",), value=2e-6),
    Choice(name=INVERSION, aliases=("embedding", "ti"), options=("embedding",), value=5e-3),
    Choice(name="custom_diffusion", aliases=("custom-diffusion", "custom"), options=("checkpoint",), value=1e-5),
)
IDENTIFIER, CLASS_NOUN = "[identifier]", "[class noun]"
NO_NOUNS = "a an the in on at by with of and under over is are as from to"
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
NEW_CONTEXT = "in the snow"
DREAMBOOTH_2022 = "Paper: DreamBooth 2022"
PER_PICTURE: Mapping[str, tuple[int, int]] = {DREAMBOOTH_2022: (200, 200)}  # by preset: epochs, class pictures for each


def resolved_plan(
    plan: TrainingPlan,
    model: ModelRecord,
    methods: tuple[Choice, ...] = (),
    taken: Collection[str] = (),
) -> TrainingPlan:
    """The plan, complete but for seed and model: those are the desk's. Complete plans come back as they are.

    `methods`: the engine's catalogue. `taken`: names of result files that the new one must not have.
    Raises InvalidRequest for what cannot be worked out, or contradicts itself.
    """
    method = method_of(plan.method, methods)
    plan = _with_words(replace(plan, method=method.name), taken)
    plan = _with_rates(plan, method)
    plan = _with_formats(plan, method)
    steps = plan.max_train_steps or usual_steps(plan)
    changes: dict[str, Any] = {"max_train_steps": steps}
    if not plan.resolution:
        changes["resolution"] = max(8, min(2048, min(model.width, model.height)) // 8 * 8)
    if not plan.preview_every:
        changes["preview_every"] = max(1, round(steps / PREVIEWS))
    if not plan.save_every:
        changes["save_every"] = max(1, round(steps / SAVES))
    if not plan.preview_prompts and plan.preview_every >= 0:
        changes["preview_prompts"] = preview_prompts(plan)
    if plan.with_prior_preservation:
        changes["num_class_images"] = class_pictures(plan)
    return replace(plan, **changes)


def method_of(name: str, methods: tuple[Choice, ...]) -> Choice:
    """The method with this name or alias. Raises InvalidRequest."""
    try:
        return Names("training method", methods or KNOWN_METHODS).find(name)
    except UnknownName as error:
        text = str(error)
        raise InvalidRequest(Problem(field="method", message=f"{text[:1].upper()}{text[1:]}.")) from error


# Numbers -----------------------------------------------------------------------------------------------------------------


def usual_steps(plan: TrainingPlan) -> int:
    """100 for each picture, at least 400 and at most 2000; for a preset that counts epochs, so many of them."""
    pictures, epochs = max(1, len(plan.pictures)), _preset(plan)[0]
    if epochs:
        return max(1, -(-epochs * pictures // pictures_a_step(plan)))
    return max(FEWEST_STEPS, min(MOST_STEPS, STEPS_EACH * pictures))


def pictures_a_step(plan: TrainingPlan) -> int:
    """How many pictures make a step, class pictures not counted."""
    return plan.train_batch_size * plan.gradient_accumulation_steps * plan.num_processes


def class_pictures(plan: TrainingPlan) -> int:
    """How many class pictures are wanted: as many as given, or so many for each picture as the preset says."""
    each = _preset(plan)[1]
    if each and plan.num_class_images == each:
        return min(10_000, each * max(1, len(plan.pictures)))
    return plan.num_class_images


def _preset(plan: TrainingPlan) -> tuple[int, int]:
    """(epochs, class pictures for each picture) of the preset that a plan began from, 0 where it counts otherwise."""
    return PER_PICTURE.get(plan.preset, (0, 0))


def _with_rates(plan: TrainingPlan, method: Choice) -> TrainingPlan:
    known = next((one.value for one in KNOWN_METHODS if one.name == method.name), 1e-4)
    usual = 1.0 if plan.optimizer == "Prodigy" else method.value or known
    rate = plan.learning_rate or usual
    text = plan.text_encoder_lr or (rate if plan.optimizer == "Prodigy" else rate / 2)
    return replace(plan, learning_rate=rate, text_encoder_lr=text)


def _with_formats(plan: TrainingPlan, method: Choice) -> TrainingPlan:
    """The formats asked for, which the method must know, or its usual one."""
    wrong = [one for one in plan.formats if method.options and one not in method.options]
    if wrong:
        message = f"{method.name} cannot be saved as {wrong[0]!r}; known are {', '.join(method.options)}."
        raise InvalidRequest(Problem(field="formats", message=message))
    return replace(plan, formats=tuple(dict.fromkeys(plan.formats)) or method.options[:1])


# Words -------------------------------------------------------------------------------------------------------------------


def _with_words(plan: TrainingPlan, taken: Collection[str]) -> TrainingPlan:
    """Identifier, class noun and prompts agree; [identifier] and [class noun] are replaced."""
    identifier, noun = " ".join(plan.identifier.split()), " ".join(plan.class_noun.split())
    noun = noun or _noun_after(identifier, plan.instance_prompt)
    name = free_name(plan.name.strip() or f"{identifier} {noun}", taken, plan.method)
    plan = replace(plan, identifier=identifier, class_noun=noun, name=name)
    word = name if plan.method == INVERSION else identifier
    usual = f"a photo of {word}" if plan.method == INVERSION else f"a photo of {word} {noun}"
    prompt = filled(plan.instance_prompt.strip(), word, noun) or " ".join(usual.split())
    captions = tuple(filled(one, word, noun) for one in plan.captions)
    if plan.method == INVERSION:
        prompt = _with_word(prompt, word, identifier)
        captions = tuple(one.strip() and _with_word(one, word, identifier) for one in captions)
    elif word and not holds(prompt, word):
        message = f"The instance prompt {prompt[:100]!r} does not hold the identifier {word!r}; write both alike."
        raise InvalidRequest(Problem(field="instance_prompt", message=message))
    return replace(
        plan,
        instance_prompt=prompt,
        captions=captions,
        class_prompt=_class_prompt(plan, noun),
        preview_prompts=tuple(filled(one, word, noun) for one in plan.preview_prompts),
        initializer_token=plan.initializer_token or (noun if plan.method == INVERSION else ""),
    )


def filled(text: str, identifier: str, noun: str) -> str:
    """A text with its placeholders replaced.

    >>> filled("a [identifier] [class noun] asleep", "sks", "cat")
    'a sks cat asleep'
    """
    if IDENTIFIER not in text and CLASS_NOUN not in text:
        return text
    return " ".join(text.replace(IDENTIFIER, identifier).replace(CLASS_NOUN, noun).split())


def holds(text: str, word: str) -> bool:
    """Whether a text has this word in it, as one of its own.

    >>> holds("a photo of <sks-dog>", "SKS"), holds("asksa", "sks")
    (True, False)
    """
    return re.search(_alone(word), text, re.IGNORECASE) is not None


def _alone(word: str) -> str:
    return rf"(?<!\w){re.escape(word)}(?!\w)"


def _with_word(text: str, word: str, identifier: str) -> str:
    """A caption that holds the word to be learned: in place of the identifier, or before it."""
    if holds(text, word):
        return text
    if identifier and holds(text, identifier):
        return re.sub(_alone(identifier), lambda _: word, text, count=1, flags=re.IGNORECASE)
    return f"{word}, {text}"


def _noun_after(identifier: str, prompt: str) -> str:
    """The word behind the identifier, which trainers that know no class noun are given in the prompt.

    >>> _noun_after("sks", "a photo of sks dog on grass"), _noun_after("sks", "sks in the snow")
    ('dog', '')
    """
    found = re.search(rf"{_alone(identifier)}\s+([^\W\d_]+)", prompt, re.IGNORECASE) if identifier else None
    return "" if found is None or found[1].lower() in NO_NOUNS.split() else found[1]


def _class_prompt(plan: TrainingPlan, noun: str) -> str:
    prompt = filled(plan.class_prompt.strip(), "", noun)
    if prompt or not plan.with_prior_preservation:
        return prompt
    if not noun:
        message = "Prior preservation needs to know what it is: cat, dog, backpack, person."
        raise InvalidRequest(Problem(field="class_noun", message=message))
    return f"a photo of {noun}"


def preview_prompts(plan: TrainingPlan) -> tuple[str, ...]:
    """What to look at on the way: the subject, the subject elsewhere, and its class, which should not become the subject."""
    subject, noun = plan.instance_prompt, plan.class_noun
    if noun == "style":
        return subject, f"a house in {plan.identifier} style", "a photo of a house"
    sanity = (f"a photo of a {noun}",) if noun and plan.method != INVERSION else ()
    return tuple(dict.fromkeys((subject, f"{subject} {NEW_CONTEXT}", *sanity)))


# Names of files ------------------------------------------------------------------------------------------------------------


def free_name(wanted: str, taken: Collection[str], method: str = "") -> str:
    """A name that every system takes as a file's, and that none of `taken` has, which does not look at the case.

    >>> free_name("sks cat", ["SKS-cat"]), free_name("../a:b?", ()), free_name("", ())
    ('sks-cat-2', 'a-b', 'subject')
    """
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in wanted)
    name = re.sub("-+", "-", kept).strip("-._")[:LONGEST_FILE_NAME].rstrip("-._") or "subject"
    if RESERVED.fullmatch(name.split(".")[0]):
        name = f"{name}-1"
    folded, number, base = {one.casefold() for one in taken}, 2, name
    while name.casefold() in folded:
        name = f"{base[: LONGEST_FILE_NAME - 5]}-{number}"
        number += 1
    return name
