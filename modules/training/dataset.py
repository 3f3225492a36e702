"""The pictures and texts that a training learns from, batch by batch: what is drawn depends on the step alone."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from modules.core.training import TrainingPlan
from modules.prompts.tokens import Tokenizer
from modules.training.batch import Batch
from modules.training.captions import Texts, drawn_caption
from modules.training.chance import Purpose, generator, rows
from modules.training.latents import Frame, Latents, frame_of, still_frames
from modules.training.learner import Learner, Model
from modules.training.order import Order, shown
from modules.training.pictures import Example, data_hash, examples

__all__ = ["Batch", "Data", "Example", "data_hash", "examples"]

Row = tuple[Tensor, str, Example, Frame]


class Data:
    """The subject's pictures and, for prior preservation, those of its class, beside each other in every batch.

    A batch depends on the plan's seed, the step and the place in it, on nothing else: there is no state to save.
    `ranks`: how many processes share the steps; only `epoch` asks.
    """

    def __init__(
        self,
        model: Model,
        learner: Learner,
        plan: TrainingPlan,
        tokenizer: Tokenizer,
        instance: Sequence[Example],
        prior: Sequence[Example] = (),
        ranks: int = 1,
    ) -> None:
        if not instance:
            raise ValueError("there are no pictures")
        self._model, self._plan, self._ranks = model, plan, ranks
        self._instance, self._prior = list(instance), list(prior)
        self._order = Order([one.size for one in instance], plan.train_batch_size, plan.seed)
        self._texts = Texts(model, learner, tokenizer)
        self._reads = learner.reads
        self._latents = Latents(model, keep=plan.cache_latents)

    def prepare(self, on_progress: Callable[[int, int], None] = lambda done, all_: None) -> None:
        """Encode what can be encoded beforehand; (done, all) is told after each picture. May raise what that raises."""
        sizes = {one.size for one in self._instance}
        wanted = [((False, number), one) for number, one in enumerate(self._instance)]
        wanted += [((True, number, size), one.at(size)) for size in sizes for number, one in enumerate(self._prior)]
        for done, (key, example) in enumerate(wanted, 1):
            for frame in still_frames(example, self._plan) if self._plan.cache_latents else []:
                self._latents.posterior(key, example, frame)
            if not self._reads:
                self._texts.encoded([example.caption])
            on_progress(done, len(wanted))

    def epoch(self, step: int) -> float:
        """How often all pictures have been seen after so many steps."""
        return self._order.epochs(step * self._plan.gradient_accumulation_steps * self._ranks)

    def batch(self, step: int, micro: int = 0, rank: int = 0, ranks: int = 1) -> Batch:
        """The pictures of accumulated batch `micro` of a step, of `steps taken before`; see `batch.Batch`.

        Where pictures have several sizes, the last batch of a size may hold fewer.
        """
        number = (step * self._plan.gradient_accumulation_steps + micro) * ranks + rank
        chosen = self._order.rows(number)
        places = rows(self._plan, micro, rank, ranks)[: len(chosen.pictures)]
        found = [
            self._row((False, picture), self._instance[picture], step, place, prior=False)
            for picture, place in zip(chosen.pictures, places, strict=True)
        ]
        size, priors = found[0][2].size, len(found) if self._prior else 0
        beside = shown(len(self._prior), chosen.before, priors, self._plan.seed, Purpose.ORDER + Purpose.PRIOR)
        for picture, place in zip(beside, places, strict=False):
            example = self._prior[picture].at(size)
            found.append(self._row((True, picture, size), example, step, place, prior=True))
        return self._stacked(found, priors)

    def _row(self, key: tuple[object, ...], example: Example, step: int, place: int, prior: bool) -> Row:
        """One picture as it is seen at this step: latents, caption, and where it was cut."""
        plan, more = self._plan, Purpose.PRIOR if prior else 0
        frame = frame_of(example, plan, generator(plan.seed, step, place, Purpose.FRAME + more))
        random = plan.latent_sampling == "random"
        chance = generator(plan.seed, step, place, Purpose.LATENTS + more) if random else None
        latents = self._latents.scaled(self._latents.posterior(key, example, frame), chance)
        caption = example.caption
        if not prior:  # class pictures hold the class in place: their text is always told
            caption = drawn_caption(caption, plan, generator(plan.seed, step, place, Purpose.CAPTION))
        return latents, caption, example, frame

    def _stacked(self, found: list[Row], priors: int) -> Batch:
        device = self._model.device
        texts = [
            self._model.text_of(
                encoded,
                width=example.size[0],
                height=example.size[1],
                crop=frame.crop(example),
                original=(example.original[1], example.original[0]),
            )
            for encoded, (_, _, example, frame) in zip(
                self._texts.encoded([caption for _, caption, _, _ in found]), found, strict=True
            )
        ]
        vectors = [one.vector for one in texts]
        return Batch(
            latents=torch.stack([latents for latents, *_ in found]).to(device),
            text=torch.stack([one.states for one in texts]).to(device),
            vector=None if vectors[0] is None else torch.stack(vectors).to(device),
            priors=priors,
        )
