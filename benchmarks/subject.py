"""What training teaches the starter: identity, obedience, drift and diversity, method by method, with the ablations.

    python benchmarks/subject.py [--pictures 24] [--only prior] [--repeat 1] [--sheets docs/images]

The subject is the example of `models/starter/example`: a cat whose marks the starter has never seen and has no word for.
Trained by the loop, the methods and the data set that the page uses, in this process; drawn by the page's sampler. The
identity probe reads the marks, the judge everything else (`modules/families/judge.py`). Figures go to
outputs/benchmarks/starter-<hash>/subject.json (another starter's are not mixed with them), tables to the screen: what
docs/training-evidence.md prints.
"""

import argparse
import io
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import numpy as np
import torch
from PIL import Image

from modules.core.nethash import short_hash
from modules.core.training import TrainingPlan
from modules.diffusion.denoiser import EpsilonDenoiser
from modules.diffusion.guidance.cfg import register_guidance
from modules.diffusion.guided import Conditions, Guided, Rules, Text, Weighted
from modules.diffusion.noise import Noise
from modules.diffusion.sample import SamplingPlan, text_to_image
from modules.diffusion.samplers.dpmpp_2m import register_samplers
from modules.diffusion.schedules.karras import karras
from modules.families.built import BuildOptions, Built
from modules.families.checkpoint import build
from modules.families.judge import IdentityProbe, Judge, Signature, load_identity, load_judge
from modules.prompts.tokens import Tokenizer
from modules.services.training.comparison_presets import METHODS
from modules.starter.autoencoder import to_bytes, to_tensor
from modules.starter.drawing import sheet
from modules.starter.pictures import Bytes
from modules.training.captions import caption_chunk
from modules.training.dataset import Data
from modules.training.learner import Learner
from modules.training.loop import begin, train
from modules.training.pictures import examples

STARTER = ROOT / "models" / "Stable-diffusion" / "starter.safetensors"
JUDGES = ROOT / "models" / "starter"
EXAMPLE = JUDGES / "example"
RESULTS = ROOT / "outputs" / "benchmarks" / f"starter-{short_hash(STARTER)}" / "subject.json"
SIDE, SEED = 128, 1000  # of pictures that are measured; their seeds follow each other
NEW_PLACES = ("in the snow", "in space")  # where no training picture shows the subject


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How measured pictures are drawn: DPM++ 2M, Karras. pictures: of each prompt."""

    pictures: int = 24
    steps: int = 20
    scale: float = 7.0
    batch: int = 12


CLASS = Drawing(steps=12, scale=5.0)  # of class pictures: less guidance, more variety


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Shares and means over the pictures of one prompt, 0 to 1; colours: effective number (exp of the entropy)."""

    prompt: str
    count: int
    identity: float
    subject: float
    place: float
    orange: float
    colours: float
    places: float


class World:
    """The starter, what judges it, and the pictures of the example subject."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.judge: Judge = load_judge(JUDGES / "judge.safetensors")
        self.probe: IdentityProbe = load_identity(JUDGES / "identity.safetensors")
        about = json.loads((EXAMPLE / "example.json").read_text())
        self.noun, self.identifier = about["class_noun"], about["identifier"]
        self.files = [(EXAMPLE / one["file"]).read_bytes() for one in about["pictures"]]
        self.captions = [one["caption"] for one in about["pictures"]]
        self.tokenizer = Tokenizer(self.fresh().tokenizer_folder)
        shown = np.stack([np.asarray(Image.open(io.BytesIO(one)).resize((SIDE, SIDE))) for one in self.files])
        found = self.probe.signature(to_tensor(shown))
        assert found is not None, "the probe must see the marks of the example"
        self.signature: Signature = found
        self._classes: dict[tuple[str, int], Bytes] = {}

    def fresh(self) -> Built:
        return build(STARTER, BuildOptions(half=False), family="Stable Diffusion 1.x")

    @torch.inference_mode()
    def draw(
        self,
        model: Built,
        prompt: str,
        seeds: Sequence[int],
        vectors: Mapping[str, Any],
        drawing: Drawing | None = None,
    ) -> Bytes:
        """(n, 128, 128, 3), as txt2img draws them."""
        how, parts = drawing or self.drawing, []
        for first in range(0, len(seeds), how.batch):
            parts.append(self._batch(model, prompt, seeds[first : first + how.batch], vectors, how))
        return np.concatenate(parts)

    def _batch(
        self, model: Built, prompt: str, seeds: Sequence[int], vectors: Mapping[str, Any], drawing: Drawing
    ) -> Bytes:
        steps, sizes = drawing.steps, {name: len(next(iter(table.values()))) for name, table in vectors.items()}
        read = [
            model.encode([[caption_chunk(text, self.tokenizer, sizes)]], embeddings=vectors)[0].states
            for text in (prompt, "")
        ]
        asked, unasked = (((steps, Text(states)),) for states in read)
        conditions = Conditions(positive=[(Weighted(asked),)] * len(seeds), negative=[unasked] * len(seeds))
        plan = SamplingPlan(
            denoise=Guided(
                EpsilonDenoiser(model.predict, model.sigmas, model.dtype),
                conditions,
                Rules(guidance=register_guidance()[0], scale=drawing.scale),
                steps,
            ),
            sampler=register_samplers()[0],
            sigmas=karras(steps, model.sigmas),
            noise=Noise(list(seeds), model.latent_shape(SIDE, SIDE)),
            on_step=lambda step, x, denoised: None,
        )
        return to_bytes(model.decode(text_to_image(plan)))

    def classes(self, prompt: str, count: int) -> Bytes:
        """Class pictures by the untaught starter, drawn once."""
        if (prompt, count) not in self._classes:
            kept = RESULTS.parent / f"class-{prompt.replace(' ', '-')}-{count}.npy"
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.save(kept, self.draw(self.fresh(), prompt, range(1, count + 1), {}, CLASS))
            self._classes[prompt, count] = np.load(kept)
        return self._classes[prompt, count]

    def scores(self, prompt: str, place: str, pictures: Bytes) -> Scores:
        images = to_tensor(pictures)
        words = self.judge.read(images)
        return Scores(
            prompt=prompt,
            count=len(pictures),
            identity=float(self.probe.score(images, self.signature).mean()),
            subject=_share(words["subject"], self.noun),
            place=_share(words["place"], place) if place else math.nan,
            orange=_share(words["colour"], "orange"),
            colours=_effective(words["colour"]),
            places=_effective(words["place"]),
        )


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to teach. plan: fields of a TrainingPlan; captions: whether the example's captions are used."""

    name: str
    plan: Mapping[str, Any]
    captions: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcome:
    arm: str
    seed: int
    steps: int
    seconds: float
    megabytes: float
    cells: tuple[Scores, ...]


def plan_of(arm: Arm, world: World, seed: int) -> TrainingPlan:
    """The whole plan: the arm's fields, and what follows from them."""
    values = {"instance_prompt": "a photo of [identifier] [class noun]", "class_prompt": "a photo of a [class noun]"}
    values |= {key: value for key, value in arm.plan.items() if value != ""}
    noun, name = arm.plan.get("class_noun", world.noun), arm.plan.get("name") or "sks-cat"
    called = name if values["method"] == "textual_inversion" else f"{world.identifier} {noun}".strip()
    for key in ("instance_prompt", "class_prompt"):
        said = values[key].replace("[identifier] [class noun]", called).replace("[identifier]", called)
        values[key] = said.replace("[class noun]", noun or world.noun)
    told = [one.replace(f"{world.identifier} {world.noun}", called) for one in world.captions]
    values |= {"class_noun": noun, "name": name, "identifier": world.identifier, "seed": seed}
    values |= {
        "pictures": tuple(f"{n}" for n in range(len(world.files))),
        "captions": tuple(told) if arm.captions else (),
    }
    values["preview_prompts"] = ()
    return TrainingPlan(**values).checked()


def subject_in(plan: TrainingPlan) -> str:
    return plan.name if plan.method == "textual_inversion" else f"{plan.identifier} {plan.class_noun}".strip()


def taught(
    world: World, plan: TrainingPlan, cells: Callable[[Built, Learner, int, float], None], every: int = 0
) -> None:
    """Train, and look at what was learned at the end, or after each `every` steps too."""
    model = world.fresh()
    prior: list[Any] = []
    if plan.with_prior_preservation:
        drawn = world.classes(plan.class_prompt, plan.num_class_images)
        prior = examples([_png(one) for one in drawn], plan, SIDE, model.downscale, prior=True)
    method = next(one for one in import_module(f"modules.training.methods.{plan.method}").register_training_methods())
    with ExitStack() as stack:
        learner = stack.enter_context(method.prepare(model, plan))
        data = Data(model, learner, plan, world.tokenizer, examples(world.files, plan, SIDE, model.downscale), prior)
        data.prepare()
        position = begin(learner, plan, model.device)

        def on_step(numbers: Any, _position: Any) -> None:
            if numbers.step == plan.max_train_steps or (every and numbers.step % every == 0):
                cells(model, learner, numbers.step, numbers.seconds)

        train(model, learner, plan, data, position, on_step)


def prompts(plan: TrainingPlan) -> list[tuple[str, str]]:
    """What is drawn, and the place that the judge should find there."""
    who = subject_in(plan)
    return [
        (f"a photo of {who}", ""),
        *((f"a {who} {place}", place) for place in NEW_PLACES),
        (f"a {plan.class_noun or 'cat'}", ""),
    ]


def size_of(learner: Learner) -> float:
    """MB of the result in 16 bits: what changed, or for a checkpoint all of it."""
    return sum(one.numel() for one in learner.named.values()) * 2 / 1e6


def _share(words: Sequence[str], wanted: str) -> float:
    return sum(word == wanted for word in words) / len(words)


def _effective(words: Sequence[str]) -> float:
    shares = [count / len(words) for count in Counter(words).values()]
    return math.exp(-sum(share * math.log(share) for share in shares))


def _png(picture: Bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


# What is compared -------------------------------------------------------------------------------------------------------

ALONE = {"with_prior_preservation": False, "mixed_precision": "no"}
FULL, LORA, INVERSION = ({**METHODS.starter[arm], **ALONE} for arm in ("full", "lora", "ti"))
PRIOR = {"with_prior_preservation": True}


def arms() -> dict[str, Arm]:
    """By group and name: the methods, and DreamBooth's own ablations (its Figures 11 to 13)."""
    methods = (
        Arm(name="LoRA, prior", plan=LORA | PRIOR),
        Arm(name="LoRA, no prior", plan=LORA),
        Arm(name="DreamBooth, prior", plan=FULL | PRIOR),
        Arm(name="DreamBooth, no prior", plan=FULL),
        Arm(name="Custom Diffusion", plan=FULL | PRIOR | {"method": "custom_diffusion", "learning_rate": 1e-3}),
        Arm(name="Textual inversion", plan=INVERSION),
    )
    nouns = (
        Arm(name="no class noun", plan=FULL | PRIOR | {"class_noun": ""}),
        Arm(name="wrong class noun (car)", plan=FULL | PRIOR | {"class_noun": "car"}),
    )
    return {arm.name: arm for arm in (*methods, *nouns)}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    world = World(Drawing(pictures=options.pictures, steps=options.steps, scale=options.scale))
    found = _kept()
    print(f"probe {world.probe.figures}; marks {world.signature.marks}; {options.threads} thread(s)", flush=True)
    for arm in [None, *arms().values()]:
        if options.only and (arm is None or not any(one in arm.name for one in options.only)):
            continue
        for seed in range(1, options.repeat + 1):
            outcome, pictures = untaught(world) if arm is None else measured(world, arm, seed)
            found[f"{outcome.arm} {seed}"] = asdict(outcome)
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            RESULTS.write_text(json.dumps(found, indent=1))
            _draw_sheet(options.sheets, outcome, pictures)
            print(table([outcome]), flush=True)
    print(table([_outcome(one) for one in found.values()]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=24, help="measured of each prompt")
    parser.add_argument("--steps", type=int, default=20, help="sampling steps of measured pictures")
    parser.add_argument("--scale", type=float, default=7.0, help="CFG scale of measured pictures")
    parser.add_argument("--only", nargs="*", help="arms whose names hold one of these")
    parser.add_argument("--repeat", type=int, default=1, help="trainings of each arm, with seeds 1, 2 …")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--sheets", type=Path, default=RESULTS.parent, help="folder for sheets of pictures")
    return parser.parse_args()


def untaught(world: World) -> tuple[Outcome, list[Bytes]]:
    """The starter as it is: with the identifier, which means nothing to it yet."""
    plan = plan_of(Arm(name="", plan=FULL), world, 1)
    cells, pictures = cells_of(world, world.fresh(), plan, {})
    return Outcome(arm="base", seed=1, steps=0, seconds=0, megabytes=0, cells=cells), pictures


def measured(world: World, arm: Arm, seed: int) -> tuple[Outcome, list[Bytes]]:
    plan, found = plan_of(arm, world, seed), []

    def look(model: Built, learner: Learner, step: int, seconds: float) -> None:
        cells, pictures = cells_of(world, model, plan, learner.vectors)
        outcome = Outcome(
            arm=arm.name, seed=seed, steps=step, seconds=round(seconds), megabytes=size_of(learner), cells=cells
        )
        found.append((outcome, pictures))

    taught(world, plan, look)
    return found[-1]


def cells_of(
    world: World, model: Built, plan: TrainingPlan, vectors: Mapping[str, Any]
) -> tuple[tuple[Scores, ...], list[Bytes]]:
    """Each prompt's pictures and what they score; the same seeds for every arm."""
    seeds, cells, pictures = range(SEED, SEED + world.drawing.pictures), [], []
    for prompt, place in prompts(plan):
        pictures.append(world.draw(model, prompt, seeds, vectors))
        cells.append(world.scores(prompt, place, pictures[-1]))
    return tuple(cells), pictures


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown. Identity, place and drift are means, 0 to 1; diversity is the effective number of colours of "a cat"."""
    head = "identity|in new places|place|cat|drift|colours|places|steps|seconds|MB"
    lines = [f"| arm | {' | '.join(head.split('|'))} |", "|---" * (1 + len(head.split("|"))) + "|"]
    for one in outcomes:
        portrait, *away, plain = one.cells
        numbers = (
            portrait.identity,
            _mean([cell.identity for cell in away]),
            _mean([cell.place for cell in away]),
            _mean([cell.subject for cell in (portrait, *away)]),
            plain.identity,
        )
        rest = (
            f"{plain.colours:.1f}",
            f"{plain.places:.1f}",
            f"{one.steps}",
            f"{one.seconds:.0f}",
            f"{one.megabytes:.2f}",
        )
        shown = [f"{number:.2f}" for number in numbers] + list(rest)
        lines.append(f"| {one.arm} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _kept() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def _outcome(kept: Mapping[str, Any]) -> Outcome:
    return Outcome(**{**kept, "cells": tuple(Scores(**cell) for cell in kept["cells"])})


def _draw_sheet(folder: Path, outcome: Outcome, pictures: Sequence[Bytes]) -> None:
    """One row for each prompt, the first eight pictures."""
    name = "".join(letter if letter.isalnum() else "-" for letter in outcome.arm.lower())
    page = sheet([row[:8] for row in pictures])
    page.quantize(256, Image.Quantize.FASTOCTREE).save(folder / f"subject-{name}-{outcome.seed}.png", optimize=True)


if __name__ == "__main__":
    main()
