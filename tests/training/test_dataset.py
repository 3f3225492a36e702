"""Batches: pictures, texts and class pictures together; the same for the same step, whatever happened before."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from modules.training.dataset import Data, examples
from tests.training.pictures_on_disk import file_of, noise, numbered


@pytest.fixture
def data_of(tiny, plan_of, learner_of, tokenizer):
    """A function: contents and plan fields to Data."""

    def make(contents, prior=(), family="sd1", model=None, parts=("unet",), **known):
        plan = plan_of(pictures=tuple(map(str, range(len(contents)))), **known)
        model = model or tiny(family)
        instance = examples(contents, plan, plan.resolution, model.downscale)
        beside = examples(prior, plan, plan.resolution, model.downscale, prior=True)
        return Data(model, learner_of(model, plan, *parts), plan, tokenizer, instance, beside)

    return make


FOUR = numbered(4)


def test_a_batch(data_of):
    data = data_of(FOUR, train_batch_size=3)
    batch = data.batch(0)
    assert batch.latents.shape == (3, 4, 8, 8)
    assert batch.latents.dtype == torch.float32
    assert batch.text.shape == (3, 77, 32)
    assert (batch.vector, batch.priors) == (None, 0)
    assert not batch.latents.requires_grad
    assert not batch.text.is_inference()


def test_the_same_step_is_the_same_batch(data_of):
    data, other = data_of(FOUR, random_flip=True), data_of(FOUR, random_flip=True)
    other.prepare()
    wanted = [data.batch(step) for step in range(6)]
    for step in (5, 1, 3):
        assert torch.equal(other.batch(step).latents, wanted[step].latents)
        assert torch.equal(other.batch(step).text, wanted[step].text)
    assert not torch.equal(data_of(FOUR, random_flip=True, seed=6).batch(1).latents, wanted[1].latents)


def test_latents_are_drawn_anew_or_not(data_of):
    drawn, still = data_of(numbered(1)), data_of(numbered(1), latent_sampling="deterministic")
    assert not torch.equal(drawn.batch(0).latents, drawn.batch(1).latents)
    assert torch.equal(still.batch(0).latents, still.batch(1).latents)
    several = torch.stack([drawn.batch(step).latents for step in range(60)])
    spread = (several.mean(dim=0) - still.batch(0).latents).abs().max()
    assert spread < 5 * several.std() / 60**0.5 + 0.05


def test_kept_latents_are_what_is_encoded_each_time(data_of):
    kept, fleeting = data_of(FOUR), data_of(FOUR, cache_latents=False)
    kept.prepare()
    assert torch.equal(kept.batch(2).latents, fleeting.batch(2).latents)


def test_it_matters_not_how_a_step_is_divided(data_of):
    whole = data_of(FOUR, train_batch_size=4)
    accumulated = data_of(FOUR, train_batch_size=2, gradient_accumulation_steps=2)
    alone = data_of(FOUR, train_batch_size=1)
    wanted = whole.batch(3).latents
    assert torch.equal(torch.cat([accumulated.batch(3, micro).latents for micro in range(2)]), wanted)
    assert torch.equal(torch.cat([alone.batch(3, 0, rank, 4).latents for rank in range(4)]), wanted)
    assert whole.epoch(3) == accumulated.epoch(3) == 3.0


def test_progress_is_told_and_may_stop(data_of):
    told = []
    data_of(FOUR, prior=numbered(2)).prepare(lambda done, all_: told.append((done, all_)))
    assert told == [(n, 6) for n in range(1, 7)]

    class Enough(Exception):
        pass

    def stop(done, all_):
        raise Enough

    with pytest.raises(Enough):
        data_of(FOUR).prepare(stop)


def test_captions_are_drawn_by_step(data_of):
    data = data_of(numbered(1), caption_dropout_rate=0.5)
    texts = {data.batch(step).text.numpy().tobytes() for step in range(12)}
    assert len(texts) == 2


# Class pictures --------------------------------------------------------------------------------------------------------


def test_class_pictures_stand_beside(data_of, tiny):
    data = data_of(FOUR, prior=numbered(3), with_prior_preservation=True, train_batch_size=2, caption_dropout_rate=1.0)
    batch = data.batch(1)
    assert (batch.latents.shape[0], batch.priors) == (4, 2)
    assert torch.equal(batch.text[0], batch.text[1])  # left out
    assert torch.equal(batch.text[2], batch.text[3])  # the class prompt
    assert not torch.equal(batch.text[0], batch.text[2])
    alone = data_of(FOUR, train_batch_size=2, caption_dropout_rate=1.0)
    assert torch.equal(alone.batch(1).latents, batch.latents[:2])


def test_class_pictures_have_an_order_of_their_own(data_of):
    still = {"latent_sampling": "deterministic", "train_batch_size": 1}
    data = data_of(FOUR, prior=numbered(3), **still)
    priors = [data.batch(step).latents[1].numpy().tobytes() for step in range(9)]
    for epoch in range(3):
        assert len(set(priors[3 * epoch : 3 * epoch + 3])) == 3


def test_pictures_of_several_shapes(data_of):
    contents = [file_of(noise(*size)) for size in ((64, 64), (90, 60), (64, 65), (90, 61), (60, 90))]
    data = data_of(contents, prior=numbered(2), buckets=True, train_batch_size=2)
    data.prepare()
    shapes = [data.batch(step).latents.shape for step in range(6)]
    assert sorted({shape[2:] for shape in shapes}) == [(6, 10), (8, 8), (10, 6)]
    assert sorted(shape[0] for shape in shapes[:3]) == [2, 4, 4]  # half of them class pictures of that size
    assert data.epoch(3) == 1.0


# Models ----------------------------------------------------------------------------------------------------------------


def test_sdxl_is_told_sizes(data_of, tiny):
    data = data_of([file_of(noise(128, 96))], family="sdxl")
    batch = data.batch(0)
    assert batch.vector is not None
    # original height and width, top and left of the cut in the resized picture, height and width now
    assert batch.vector[0, -6:].tolist() == [96, 128, 0, 10, 64, 64]
    assert batch.text.shape == (1, 77, sum(tiny("sdxl").encoder_widths.values()))


def test_gradients_reach_a_text_encoder_that_learns(data_of, fresh):
    model = fresh("sd1")
    model.text_encoder.requires_grad_(True)
    data = data_of(FOUR, prior=numbered(1), model=model, parts=("unet", "text_encoder"))
    batch = data.batch(0)
    assert batch.text.requires_grad
    batch.text.square().sum().backward()
    assert model.text_encoder.get_input_embeddings().weight.grad is not None


def test_the_examples_stay_as_they_were(data_of, tiny, plan_of):
    plan = plan_of(resolution=64)
    found = examples(FOUR, plan, 64, 8)
    before = [one.pixels.copy() for one in found]
    data = data_of(FOUR, random_flip=True)
    data.prepare()
    data.batch(0)
    assert all(np.array_equal(one.pixels, old) for one, old in zip(found, before, strict=True))


def test_without_pictures(tiny, plan_of, learner_of, tokenizer):
    with pytest.raises(ValueError, match="no pictures"):
        Data(tiny("sd1"), learner_of(tiny("sd1"), plan_of()), replace(plan_of()), tokenizer, [])
