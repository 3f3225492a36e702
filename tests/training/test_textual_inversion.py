"""Textual inversion: only its rows learn, as diffusers' whole table would; its files in every form."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from modules.core.errors import InvalidRequest
from modules.core.training import TrainingPlan
from modules.diffusion.embeddings import fitting, load_embedding
from modules.families import single_file
from modules.families.built import TOKENIZER, Built
from modules.prompts.tokens import Tokenizer
from modules.training.embedding_files import pickled
from modules.training.initial import initial_rows, initial_tokens
from tests.training.learning import METHODS, answer, bits, learn, predicted, state_of, taught, text_of

NAME = "my-cat"
CAPTION = f"a photo of {NAME} in the snow"
ABOUT = {"ss_output_name": NAME, "ss_steps": "2", "ss_sd_model_hash": "0123456789", "ss_sd_model_name": "tiny"}


@pytest.fixture
def plan(plan_of: Callable[..., TrainingPlan]) -> TrainingPlan:
    return plan_of(method="textual_inversion", name=NAME, num_vectors=3)


# What learns ----------------------------------------------------------------------------------------------------------


class WholeTable:
    """As diffusers' example trains: new rows in the table, all of it learns, all but them put back after each step."""

    def __init__(self, model: Built, rows: Tensor, words: Tokenizer) -> None:
        self.model, self.encoder, self.words = model, model.text_encoder, words
        before = torch.get_rng_state()
        self.encoder.resize_token_embeddings(49408 + len(rows), mean_resizing=False)
        torch.set_rng_state(before)
        self.table = self.encoder.get_input_embeddings().weight
        self.table.data[49408:] = rows
        self.original = self.table.detach().clone()
        self.new = list(range(49408, 49408 + len(rows)))

    def learn(self, steps: int) -> float:
        """How far the other rows had drifted before they were put back."""
        self.model.unet.requires_grad_(False)
        self.encoder.requires_grad_(False)
        self.table.requires_grad_(True)
        optimizer = torch.optim.AdamW([self.table], lr=1e-2)
        target, drift = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4)), 0.0
        for _ in range(steps):
            optimizer.zero_grad()
            (self.predicted() - target).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                drift = max(drift, float((self.table[:49408] - self.original[:49408]).abs().max()))
                self.table[:49408] = self.original[:49408]
        return drift

    def predicted(self) -> Tensor:
        start, end = (self.words.encode(text) for text in ("a photo of", "in the snow"))
        tokens = [49406, *start, *self.new, *end]
        tokens += [49407] * (77 - len(tokens))
        states = self.encoder(input_ids=torch.tensor([tokens])).last_hidden_state
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
        return self.model.predict(x, torch.tensor([400.0]), states)


def test_only_its_rows_learn_and_as_the_whole_table_would(
    fresh: Callable[..., Built], plan: TrainingPlan, tokenizer: Tokenizer
) -> None:
    """training.md 3.5: three steps of AdamW with weight decay; the reference needs putting back, ours does not."""
    model = fresh()
    answer(model)
    before, reference = state_of(model), fresh()
    with METHODS["textual_inversion"].prepare(model, plan) as learner:
        rows = learner.vectors[NAME]["clip_l"]
        theirs = WholeTable(reference, rows.detach().clone(), tokenizer)
        torch.testing.assert_close(
            predicted(model, CAPTION, learner.vectors, learning=True), theirs.predicted(), atol=1e-6, rtol=0
        )
        learn(model, learner, steps=3, caption=CAPTION)
        drift = theirs.learn(steps=3)
        torch.testing.assert_close(rows.detach(), theirs.table.detach()[49408:], atol=1e-7, rtol=0)
        assert drift > 1e-5, "the control: without putting back, the other rows decay"
        assert float((rows.detach() - theirs.original[49408:]).abs().max()) > 1e-2
    assert state_of(model) == before


def test_every_encoder_gets_its_own_rows(tiny: Any, plan: TrainingPlan) -> None:
    widths = {"sd1": {"clip_l": 32}, "sd2": {"clip_h": 32}, "sdxl": {"clip_l": 32, "clip_g": 48}}
    for family, expected in widths.items():
        model = tiny(family)
        assert model.encoder_widths.keys() == expected.keys()
        with METHODS["textual_inversion"].prepare(model, plan) as learner:
            tables = learner.vectors[NAME]
            assert {key: tuple(one.shape) for key, one in tables.items()} == {
                key: (3, model.encoder_widths[key]) for key in expected
            }
            predicted(model, CAPTION, learner.vectors, learning=True).sum().backward()
            assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in tables.values())
            assert [id(one) for one in tables.values()] == [id(one) for one in learner.named.values()]


def test_the_word_is_drawn_as_it_has_learned(fresh: Callable[..., Built], plan: TrainingPlan) -> None:
    model = fresh()
    with METHODS["textual_inversion"].prepare(model, plan) as learner:
        first = answer(model, CAPTION, learner.vectors)
        learn(model, learner, steps=1, caption=CAPTION)
        assert not torch.equal(answer(model, CAPTION, learner.vectors), first)
        other = answer(model, "a photo of a dog", learner.vectors)
    assert torch.equal(answer(model, "a photo of a dog"), other)


def test_without_a_name_it_cannot_be_called(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    plan = plan_of(method="textual_inversion", name=" ")
    with (
        pytest.raises(InvalidRequest, match="Give the embedding a name"),
        METHODS["textual_inversion"].prepare(tiny(), plan),
    ):
        pass


# What it begins with ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initializer", "noun", "expected"),
    [("dog", "cat", "dog"), ("", "cat", "cat"), (" ", " ", "*"), ("fluffy tabby cat", "", "fluffy tabby cat")],
)
def test_the_word_it_begins_with(initializer: str, noun: str, expected: str, tokenizer: Tokenizer) -> None:
    plan = TrainingPlan(initializer_token=initializer, class_noun=noun)
    assert initial_tokens(plan, tokenizer) == tokenizer.encode(expected)


@pytest.mark.parametrize(
    ("tokens", "vectors", "expected"),
    [
        ([3], 1, [3]),
        ([3], 3, [3, 3, 3]),
        ([1, 2, 6], 3, [1, 2, 6]),
        ([1, 2], 5, [1, 1, 1, 2, 2]),
        ([1, 2, 6], 1, [3]),
        ([1, 3, 5, 9], 2, [2, 7]),
        ([1, 2, 6], 2, [1, 4]),
    ],
)
def test_tokens_are_spread_or_averaged(tokens: list[int], vectors: int, expected: list[float]) -> None:
    table = torch.arange(10.0).unsqueeze(1).expand(10, 4).half()
    found = initial_rows(table, tokens, vectors)
    assert found.dtype == torch.float32
    assert found[:, 0].tolist() == expected


def test_it_begins_as_the_word(tiny: Any, plan_of: Callable[..., TrainingPlan]) -> None:
    """One vector of a one-token word reads exactly as the word."""
    model, plan = tiny(), plan_of(method="textual_inversion", name=NAME, num_vectors=1, initializer_token="dog")
    with METHODS["textual_inversion"].prepare(model, plan) as learner:
        assert torch.equal(
            answer(model, f"a {NAME} here", learner.vectors),
            answer(model, "a dog here"),
        )


# Files ------------------------------------------------------------------------------------------------------------------


def saved(learner: Any, format: str, folder: Path) -> Path:
    (one,) = learner.export(format, torch.float16)
    path = folder / f"{NAME}{one.suffix}"
    if one.suffix == ".pt":
        path.write_bytes(pickled(one.tensors, ABOUT))
    else:
        single_file.save(path, one.tensors, ABOUT)
    return path


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_our_reader_takes_both_forms(family: str, tiny: Any, plan: TrainingPlan, tmp_path: Path) -> None:
    model = tiny(family)
    with METHODS["textual_inversion"].prepare(model, plan) as learner:
        expected = learner.vectors[NAME]
        for format in ("embedding", "pt"):
            found = fitting(load_embedding(saved(learner, format, tmp_path)), model.encoder_widths)
            assert found.keys() == expected.keys()
            assert all(bits(found[key]) == bits(one) for key, one in expected.items())


def test_the_pickle_has_the_fields_form_and_no_code(tiny: Any, plan: TrainingPlan, tmp_path: Path) -> None:
    with taught(tiny(), plan, steps=1) as learner:
        content = torch.load(saved(learner, "pt", tmp_path), weights_only=True)
    assert content["string_to_token"] == {"*": 265}
    assert list(content["string_to_param"]) == ["*"]
    assert content["string_to_param"]["*"].shape == (3, 32)
    assert type(content["string_to_param"]["*"]) is Tensor
    assert (content["name"], content["step"]) == (NAME, 2)
    assert (content["sd_checkpoint"], content["sd_checkpoint_name"]) == ("0123456789", "tiny")


def test_the_safetensors_have_kohyas_names(tiny: Any, plan: TrainingPlan, tmp_path: Path) -> None:
    for family, expected in (("sd1", {"emb_params"}), ("sdxl", {"clip_l", "clip_g"})):
        with METHODS["textual_inversion"].prepare(tiny(family), plan) as learner:
            header, tensors = single_file.load(saved(learner, "embedding", tmp_path))
        assert set(tensors) == expected
        assert all(one.dtype == torch.float32 for one in tensors.values())
        assert header.metadata["ss_output_name"] == NAME


def pipeline_of(model: Built) -> Any:
    words = CLIPTokenizer.from_pretrained(TOKENIZER)
    parts: dict[str, Any] = {part: deepcopy(network) for part, network in model.networks.items()}
    parts |= {"tokenizer": words, "scheduler": DDIMScheduler()}
    if model.text_encoder_2 is None:
        return StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None)
    return StableDiffusionXLPipeline(**parts, tokenizer_2=CLIPTokenizer.from_pretrained(TOKENIZER))


def test_diffusers_reads_the_same_text(tiny: Any, plan: TrainingPlan, tmp_path: Path) -> None:
    """training.md 3.5b: the prompt's states with diffusers' reader and with ours, of both forms."""
    model = tiny()
    with taught(model, plan, steps=2) as learner:
        paths = [saved(learner, format, tmp_path) for format in ("embedding", "pt")]
        expected = text_of(model, CAPTION, learner.vectors).states
    pipeline = pipeline_of(model)
    bare, _ = pipeline.encode_prompt(CAPTION, "cpu", 1, False)
    assert (bare[0] - expected).abs().max() > 1e-3, "the test would see nothing"
    for path in paths:
        pipeline.load_textual_inversion(path, token=NAME, local_files_only=True)
        found, _ = pipeline.encode_prompt(CAPTION, "cpu", 1, False)
        torch.testing.assert_close(found[0], expected, atol=1e-6, rtol=0)
        pipeline.unload_textual_inversion()


def test_diffusers_reads_both_halves_of_sdxls(tiny: Any, plan: TrainingPlan, tmp_path: Path) -> None:
    model = tiny("sdxl")
    with taught(model, plan, steps=1) as learner:
        _, tensors = single_file.load(saved(learner, "embedding", tmp_path))
        expected = text_of(model, CAPTION, learner.vectors).states
    pipeline = pipeline_of(model)
    halves = (("clip_l", "text_encoder", "tokenizer"), ("clip_g", "text_encoder_2", "tokenizer_2"))
    for key, encoder, words in halves:
        pipeline.load_textual_inversion(
            tensors[key], token=NAME, text_encoder=getattr(pipeline, encoder), tokenizer=getattr(pipeline, words)
        )
    found = pipeline.encode_prompt(CAPTION, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    width = model.encoder_widths["clip_l"]
    torch.testing.assert_close(found[0][0][:, :width], expected[:, :width], atol=1e-6, rtol=0)
    # behind its first end token the second one is padded with 0 by us and with ends by this tokenizer
    words = 1 + len(pipeline.tokenizer(CAPTION).input_ids) - 2
    torch.testing.assert_close(found[0][0][:words, width:], expected[:words, width:], atol=1e-6, rtol=0)
