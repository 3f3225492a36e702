"""Every family: known by its header, built, read, asked, saved; and what it does to text, against diffusers' pipelines."""

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTokenizer

from modules.core.errors import InvalidModelFile
from modules.families import single_file
from modules.families.built import TOKENIZER, BuildOptions, Built
from modules.families.random_weights import ARCHITECTURES
from modules.prompts.chunks import chunks, same_length
from modules.prompts.tokens import Tokenizer

FULL = BuildOptions(half=False)
PROMPTS = ("a red fox in the snow, oil painting", "")
BASES = {"sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "Stable Diffusion XL"}


@pytest.fixture(scope="module")
def build(small_of: Callable[[str], Path], family_for: Callable[[Path], Any]) -> Callable[[str], Built]:
    def of(family: str) -> Built:
        path = small_of(family)
        return family_for(path).build(path, FULL)

    return of


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TOKENIZER)


def concat_of(built: Built) -> torch.Tensor | None:
    channels = {"text": 0, "inpaint": 5, "edit": 4}[built.kind]
    return torch.randn(2, channels, 8, 8) if channels else None


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_a_model_of_each_family_encodes_predicts_and_decodes(
    family: str, build: Callable[[str], Built], tokenizer: Tokenizer
) -> None:
    built = build(family)
    encoded = built.encode(same_length([chunks(one, tokenizer) for one in PROMPTS], tokenizer))
    texts = [built.text_of(one, width=64, height=64, negative=bool(row)) for row, one in enumerate(encoded)]
    states = torch.stack([one.states for one in texts])
    vectors = [one.vector for one in texts if one.vector is not None]
    vector = torch.stack(vectors) if vectors else None
    assert (vector is not None) == family.startswith("sdxl")
    x, steps = torch.randn(2, 4, 8, 8), torch.tensor([500.0, 20.0])
    with torch.inference_mode():
        found = built.predict(x, steps, states, vector, concat_of(built))
        pictures = built.decode(x)
        latents = built.encode_picture(pictures.clamp(-1, 1))
    for one, shape in ((found, (2, 4, 8, 8)), (pictures, (2, 3, 64, 64)), (latents, (2, 4, 8, 8))):
        assert tuple(one.shape) == shape
        assert one.dtype == torch.float32
        assert torch.isfinite(one).all()
        assert one.std() > 0.02


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_saving_changes_nothing(
    family: str, build: Callable[[str], Built], small_of: Callable[[str], Path], families: list[Any], tmp_path: Path
) -> None:
    built, again = build(family), tmp_path / "again.safetensors"
    next(one for one in families if one.name == built.family).save(built, again, {"modelspec.title": "again"})
    (_, before), (header, after) = single_file.load(small_of(family)), single_file.load(again)
    assert header.metadata["modelspec.title"] == "again"
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    assert next(one for one in families if one.name == built.family).build(again, FULL).prediction == built.prediction


@pytest.mark.parametrize(
    ("family", "kind", "prediction", "encoders"),
    [
        ("sd1", "text", "epsilon", {"clip_l": 32}),
        ("sd1-inpaint", "inpaint", "epsilon", {"clip_l": 32}),
        ("sd1-edit", "edit", "epsilon", {"clip_l": 32}),
        ("sd2", "text", "epsilon", {"clip_h": 32}),
        ("sd2-v", "text", "v_prediction", {"clip_h": 32}),
        ("sd2-inpaint", "inpaint", "epsilon", {"clip_h": 32}),
        ("sdxl", "text", "epsilon", {"clip_l": 32, "clip_g": 48}),
        ("sdxl-inpaint", "inpaint", "epsilon", {"clip_l": 32, "clip_g": 48}),
        ("sdxl-edit", "edit", "epsilon", {"clip_l": 32, "clip_g": 48}),
        ("sdxl-refiner", "text", "epsilon", {"clip_g": 48}),
    ],
)
def test_a_model_knows_what_it_is(
    family: str, kind: str, prediction: str, encoders: dict[str, int], build: Callable[[str], Built]
) -> None:
    built = build(family)
    assert (built.kind, built.prediction, built.encoder_widths) == (kind, prediction, encoders)
    assert built.is_refiner == (family == "sdxl-refiner")
    assert built.family.startswith(BASES[family.split("-")[0]])
    assert built.scaling_factor == (0.13025 if "xl" in family else 0.18215)
    assert set(built.networks) == {"unet", "vae"} | ({"text_encoder"} if family != "sdxl-refiner" else set()) | (
        {"text_encoder_2"} if "xl" in family else set()
    )
    assert built.footprint() == sum(4 * one.numel() for part in built.networks.values() for one in part.parameters())


# Text, against diffusers ---------------------------------------------------------------------------------------------


def as_pipeline(built: Built, kind: Any, **more: Any) -> Any:
    words = CLIPTokenizer.from_pretrained(TOKENIZER)
    parts = {"unet": built.unet, "vae": built.vae, "text_encoder": built.text_encoder, "scheduler": DDIMScheduler()}
    return kind(tokenizer=words, **parts, **more)


def padded_with_zero() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(TOKENIZER, pad_token="!")


def test_text_of_sd1_is_that_of_diffusers(build: Callable[[str], Built], tokenizer: Tokenizer) -> None:
    """Clip skip is compared elsewhere: diffusers' own does not go with this release of transformers."""
    built = build("sd1")
    theirs = as_pipeline(built, StableDiffusionPipeline, safety_checker=None, feature_extractor=None)
    expected = theirs.encode_prompt(PROMPTS[0], "cpu", 1, True, "blurry")
    for text, states in zip((PROMPTS[0], "blurry"), expected, strict=True):
        found = built.text_of(built.encode([chunks(text, tokenizer)])[0], width=64, height=64)
        torch.testing.assert_close(found.states, states[0], atol=1e-5, rtol=1e-4)
        assert found.vector is None


def test_text_of_sd2_is_that_of_diffusers_whatever_clip_skip_says(
    build: Callable[[str], Built], tokenizer: Tokenizer
) -> None:
    """diffusers has one layer less and takes the last; ours has all and takes the last but one."""
    built = build("sd2")
    theirs = as_pipeline(built, StableDiffusionPipeline, safety_checker=None, feature_extractor=None)
    theirs.tokenizer = padded_with_zero()
    expected, _ = theirs.encode_prompt(PROMPTS[0], "cpu", 1, False, clip_skip=1)
    for skip in (1, 2, 5):
        (found,) = built.encode([chunks(PROMPTS[0], tokenizer)], clip_skip=skip)
        torch.testing.assert_close(found.states, expected[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("negative", ["", "blurry, ugly"])
def test_text_of_sdxl_is_that_of_diffusers(negative: str, build: Callable[[str], Built], tokenizer: Tokenizer) -> None:
    built = build("sdxl")
    more = {"text_encoder_2": built.text_encoder_2, "tokenizer_2": padded_with_zero()}
    theirs = as_pipeline(built, StableDiffusionXLPipeline, **more)
    assert theirs.config.force_zeros_for_empty_prompt
    # diffusers wants None to zero an empty negative prompt
    expected = theirs.encode_prompt(PROMPTS[0], device="cpu", negative_prompt=negative or None)
    sizes = theirs._get_add_time_ids((96, 64), (0, 0), (96, 64), torch.float32, 48)
    for text, row, unwanted in ((PROMPTS[0], 0, False), (negative, 1, True)):
        (encoded,) = built.encode([chunks(text, tokenizer)])
        found = built.text_of(encoded, width=64, height=96, negative=unwanted)
        torch.testing.assert_close(found.states, expected[row][0], atol=1e-5, rtol=1e-4)
        assert found.vector is not None
        torch.testing.assert_close(found.vector, torch.cat([expected[row + 2][0], sizes[0]]), atol=1e-5, rtol=1e-4)
        assert bool(found.states.any()) == (text != "")


def test_an_empty_prompt_is_zeroed_only_as_negative_and_only_for_the_base(
    build: Callable[[str], Built], tokenizer: Tokenizer
) -> None:
    empty = chunks("", tokenizer)
    for family, zeroed in (("sdxl", True), ("sdxl-inpaint", True), ("sdxl-refiner", False)):
        built = build(family)
        (encoded,) = built.encode([empty])
        assert encoded.empty
        assert built.text_of(encoded, width=64, height=64).states.any()
        negative = built.text_of(encoded, width=64, height=64, negative=True)
        assert bool(negative.states.any()) != zeroed
        assert negative.vector is not None
        assert negative.vector[-1] == (2.5 if family == "sdxl-refiner" else 64)


def test_text_of_the_refiner_is_that_of_diffusers(build: Callable[[str], Built], tokenizer: Tokenizer) -> None:
    built = build("sdxl-refiner")
    more = {"text_encoder_2": built.text_encoder_2, "tokenizer_2": padded_with_zero()}
    theirs = as_pipeline(built, StableDiffusionXLImg2ImgPipeline, requires_aesthetics_score=True, **more)
    theirs.tokenizer = None
    expected = theirs.encode_prompt(PROMPTS[0], device="cpu", negative_prompt="blurry")
    sizes, unwanted = theirs._get_add_time_ids(
        (96, 64), (0, 0), (96, 64), 6.0, 2.5, (96, 64), (0, 0), (96, 64), torch.float32, 48
    )
    for text, row, ids in ((PROMPTS[0], 0, sizes), ("blurry", 1, unwanted)):
        (encoded,) = built.encode([chunks(text, tokenizer)])
        found = built.text_of(encoded, width=64, height=96, negative=bool(row))
        torch.testing.assert_close(found.states, expected[row][0], atol=1e-5, rtol=1e-4)
        assert found.vector is not None
        torch.testing.assert_close(found.vector, torch.cat([expected[row + 2][0], ids[0]]), atol=1e-5, rtol=1e-4)


def test_the_unet_of_sdxl_gets_pooled_text_and_sizes(build: Callable[[str], Built]) -> None:
    built = build("sdxl")
    x, text, vector = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 80), torch.randn(1, 54) * 100
    added = {"text_embeds": vector[:, :48], "time_ids": vector[:, 48:]}
    with torch.inference_mode():
        expected = built.unet(x, torch.tensor([500.0]), text, added_cond_kwargs=added).sample
        found = built.predict(x, torch.tensor([500.0]), text, vector)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_clip_skip_reaches_the_smaller_encoder_of_sdxl_only_when_asked(
    build: Callable[[str], Built], tokenizer: Tokenizer
) -> None:
    built, text = build("sdxl"), chunks(PROMPTS[0], tokenizer)
    plain = built.encode([text])[0].states
    assert torch.equal(built.encode([text], clip_skip=3)[0].states, plain)
    skipped = built.encode([text], clip_skip=1, clip_l_skip=True)[0].states
    assert not torch.allclose(skipped[:, :32], plain[:, :32])
    assert torch.equal(skipped[:, 32:], plain[:, 32:])
    assert torch.equal(built.encode([text], clip_skip=2, clip_l_skip=True)[0].states, plain)  # it takes that one anyway


def test_the_pooled_state_is_that_of_the_first_chunk_and_knows_no_emphasis(
    build: Callable[[str], Built], tokenizer: Tokenizer
) -> None:
    built = build("sdxl")
    one, two = chunks("a fox", tokenizer), chunks("a fox BREAK in the snow", tokenizer)
    (short,), (long,) = built.encode([one]), built.encode([two])
    assert short.pooled is not None
    assert long.pooled is not None
    assert long.states.shape == (154, 80)
    torch.testing.assert_close(long.pooled, short.pooled)
    (loud,) = built.encode([chunks("a (fox:1.5)", tokenizer)])
    assert loud.pooled is not None
    torch.testing.assert_close(loud.pooled, short.pooled)
    assert not torch.allclose(loud.states, short.states)


# Embeddings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_vectors_of_an_embedding_stand_for_tokens(
    family: str, build: Callable[[str], Built], chunk: Callable[..., Any]
) -> None:
    """Vectors that are those of known tokens give what these tokens give."""
    built = build(family)
    tables = {
        tower.key: getattr(built, tower.part).get_input_embeddings().weight[[500, 600]].clone()
        for tower in built.towers
    }
    from types import SimpleNamespace

    place = SimpleNamespace(offset=2, name="style")
    (found,) = built.encode([[chunk(320, 0, 0, 700, inserted=[place])]], embeddings={"style": tables})
    (expected,) = built.encode([[chunk(320, 500, 600, 700)]])
    torch.testing.assert_close(found.states, expected.states)
    if found.pooled is not None:
        torch.testing.assert_close(found.pooled, expected.pooled)


def test_an_embedding_for_another_model_is_a_sentence(build: Callable[[str], Built], chunk: Callable[..., Any]) -> None:
    built = build("sd1")
    for tables in ({"clip_l": torch.zeros(2, 768)}, {"clip_g": torch.zeros(2, 1280)}, {}):
        with pytest.raises(InvalidModelFile, match="style was made for another kind of model"):
            built.encode([[chunk(1)]], embeddings={"style": tables})


# Pictures ------------------------------------------------------------------------------------------------------------


def test_a_picture_becomes_the_mean_of_its_latents(build: Callable[[str], Built]) -> None:
    built, pixels = build("sdxl"), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        expected = built.vae.encode(pixels).latent_dist.mean
        torch.testing.assert_close(built.edit_latents(pixels), expected)
        torch.testing.assert_close(built.encode_picture(pixels), expected * 0.13025)
        assert torch.equal(built.encode_picture(pixels), built.encode_picture(pixels))  # no chance in it


def test_further_channels_stand_behind_the_latents(build: Callable[[str], Built]) -> None:
    built = build("sd1-inpaint")
    x, mask_and_picture, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 8, 8), torch.randn(1, 77, 32)
    with torch.inference_mode():
        expected = built.unet(torch.cat([x, mask_and_picture], dim=1), torch.tensor([5.0]), text).sample
        found = built.predict(x, torch.tensor([5.0]), text, concat=mask_and_picture)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


# What is wrong with a file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("sd2", "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"),
        ("sdxl", "conditioner.embedders.1.model.text_projection"),
        ("sdxl", "model.diffusion_model.label_emb.0.2.bias"),
        ("sdxl-refiner", "conditioner.embedders.0.model.positional_embedding"),
    ],
)
def test_the_first_missing_or_odd_tensor_is_named(
    family: str, name: str, small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path
) -> None:
    header, tensors = single_file.load(small_of(family))
    path = tmp_path / "changed.safetensors"
    single_file.save(path, {key: one for key, one in tensors.items() if key != name}, header.metadata)
    with pytest.raises(InvalidModelFile) as refusal:
        family_for(path).build(path, FULL)
    assert name in str(refusal.value)
    assert "is missing" in str(refusal.value)
    single_file.save(path, tensors | {name: torch.zeros(7, 7)}, header.metadata)
    with pytest.raises(InvalidModelFile, match=r"has the shape \[7, 7\]"):
        family_for(path).build(path, FULL)


def test_sd2_without_the_layer_that_is_not_used_draws_the_same(
    small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path, tokenizer: Tokenizer
) -> None:
    header, tensors = single_file.load(small_of("sd2"))
    spare = ("cond_stage_model.model.transformer.resblocks.1.", "cond_stage_model.model.text_projection")
    path = tmp_path / "short.safetensors"
    single_file.save(path, {name: one for name, one in tensors.items() if not name.startswith(spare)}, header.metadata)
    whole, short = (family_for(one).build(one, FULL) for one in (small_of("sd2"), path))
    text = [chunks(PROMPTS[0], tokenizer)]
    torch.testing.assert_close(short.encode(text)[0].states, whole.encode(text)[0].states)
    assert type(short.text_encoder).__name__ == "CLIPTextModel"


def test_scaled_8_bit_files_are_refused(
    small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path
) -> None:
    header, tensors = single_file.load(small_of("sdxl"))
    path = tmp_path / "scaled.safetensors"
    single_file.save(path, tensors | {"scaled_fp8": torch.zeros(2)}, header.metadata)
    with pytest.raises(InvalidModelFile, match="8-bit numbers with a scale"):
        family_for(path).build(path, FULL)


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_a_bent_header_is_a_sentence_or_a_model(
    family: str, small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Cut, flipped, renamed, reshaped: whatever stands in the header, nothing but InvalidModelFile comes out."""
    whole, path = small_of(family).read_bytes(), tmp_path / "bent.safetensors"
    length, chance = struct.unpack("<Q", whole[:8])[0], random.Random(family)
    refused = 0
    for _ in range(60):
        bent = bytearray(whole)
        for _ in range(chance.choice((1, 1, 4, 40))):
            place = chance.randrange(8 + length)
            bent[place] = chance.choice((bent[place] ^ 1 << chance.randrange(8), chance.randrange(256)))
        path.write_bytes(bent[: chance.choice((len(bent), len(bent), chance.randrange(len(bent))))])
        try:
            family_for(path).build(path, FULL)
        except InvalidModelFile as refusal:
            refused += 1
            assert "bent" in str(refusal)
            assert "\n" not in str(refusal)
    assert refused > 30
