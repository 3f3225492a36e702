"""From a file to a model that computes: the same as diffusers would, or a sentence that names what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from modules.core.errors import InvalidModelFile
from modules.families import single_file
from modules.families.built import BuildOptions
from modules.families.configuration import METADATA_KEY
from modules.families.kinds import sd15

FULL = BuildOptions(half=False)


def build(path: Path) -> Any:
    return sd15.build(path, FULL)


@pytest.fixture
def changed(small_file: Path, tmp_path: Path) -> Any:
    """A copy of the small file after `change(tensors, metadata)`."""

    def make(change: Any) -> Path:
        header, tensors = single_file.load(small_file)
        metadata = dict(header.metadata)
        change(tensors, metadata)
        single_file.save(tmp_path / "changed.safetensors", tensors, metadata)
        return tmp_path / "changed.safetensors"

    return make


def test_the_networks_compute_what_diffusers_computes_from_the_same_file(
    small_file: Path, config: dict[str, dict[str, Any]]
) -> None:
    built = build(small_file)
    _, tensors = single_file.load(small_file)
    unet, vae = UNet2DConditionModel(**config["unet"]).eval(), AutoencoderKL(**config["vae"]).eval()
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(tensors), dict(unet.config)))
    vae.load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), dict(vae.config)))
    x, text, t = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32), torch.tensor([10.0, 900.0])
    with torch.inference_mode():
        torch.testing.assert_close(built.predict(x, t, text), unet(x, t, text).sample, atol=1e-5, rtol=1e-4)
        expected = vae.decode(x / 0.18215).sample
        torch.testing.assert_close(built.decode(x), expected, atol=1e-5, rtol=1e-4)


def test_the_text_tower_is_causal_and_knows_its_positions(small_file: Path) -> None:
    tower = build(small_file).text_encoder
    one, other = torch.full((1, 77), 320), torch.full((1, 77), 320)
    other[0, 40:] = 999
    with torch.inference_mode():
        first, second = (tower(input_ids=tokens).last_hidden_state[0] for tokens in (one, other))
    torch.testing.assert_close(first[:40], second[:40])
    assert not torch.allclose(first[41], second[41], atol=1e-3)
    assert not torch.allclose(first[0], first[1], atol=1e-3)  # the same word elsewhere


def test_a_built_model_is_ready_to_run(small_file: Path) -> None:
    built = build(small_file)
    for network in (built.unet, built.vae, built.text_encoder):
        assert not network.training
        assert not any(one.is_meta or one.requires_grad for one in network.parameters())
        assert not any(one.is_meta for one in network.buffers())
    assert len(built.sigmas) == 1000
    assert built.sigmas[-1] == pytest.approx(14.614643, rel=1e-6)
    assert built.latent_shape(64, 128) == (4, 16, 8)
    assert (built.tokenizer_folder / "tokenizer.json").is_file()


def test_half_precision_is_near_full_precision(small_file: Path) -> None:
    full, half = build(small_file), sd15.build(small_file, BuildOptions(half=True))
    x, text, t = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 32), torch.tensor([500.0])
    with torch.inference_mode():
        difference = (full.predict(x, t, text) - half.predict(x, t, text)).std()
    assert difference < 0.05 * full.predict(x, t, text).std()


def test_saving_and_building_again_changes_nothing(small_file: Path, tmp_path: Path) -> None:
    built = build(small_file)
    sd15.save(built, tmp_path / "again.safetensors", {"modelspec.title": "again"})
    (_, before), (header, after) = single_file.load(small_file), single_file.load(tmp_path / "again.safetensors")
    assert header.metadata["modelspec.title"] == "again"
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)


def test_extra_tensors_are_not_read(changed: Any) -> None:
    def more(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        tensors["model_ema.decay"] = torch.zeros(3)
        tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]

    assert build(changed(more)).family == "Stable Diffusion 1.x"


def test_linear_layers_stored_as_convolutions_and_the_other_way_round(changed: Any) -> None:
    name = "first_stage_model.decoder.mid.attn_1.q.weight"

    def flatten(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        assert tensors[name].ndim == 4
        tensors[name] = tensors[name].flatten(1)

    assert build(changed(flatten)).vae.decoder.mid_block.attentions[0].to_q.weight.ndim == 2


def without(name: str) -> Any:
    return lambda tensors, metadata: tensors.pop(name)


def test_the_first_missing_tensor_is_named(changed: Any) -> None:
    name = "model.diffusion_model.middle_block.1.proj_in.weight"
    with pytest.raises(InvalidModelFile, match=r"changed.*'model\.diffusion_model\.middle_block\.1\.proj_in\.weight'"):
        build(changed(without(name)))


def test_the_first_tensor_of_another_shape_is_named(changed: Any) -> None:
    def cut(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        tensors["first_stage_model.quant_conv.weight"] = torch.zeros(8, 4, 1, 1)

    with pytest.raises(
        InvalidModelFile, match=r"first_stage_model\.quant_conv\.weight.*\[8, 4, 1, 1\].*\[8, 8, 1, 1\]"
    ):
        build(changed(cut))


def test_a_file_without_configuration_is_taken_for_stable_diffusion_1_5(changed: Any) -> None:
    def forget(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        del metadata[METADATA_KEY]

    with pytest.raises(InvalidModelFile, match=r"does not fit its configuration.*expected was"):
        build(changed(forget))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "5",
        "{}",
        '{"unet": {}, "vae": [], "text_encoder": {}}',
        "[" * 100_000,
        json.dumps({"unet": {"layers_per_block": 10**9}, "vae": {}, "text_encoder": {}}),
        json.dumps({"unet": {"block_out_channels": [32] * 1000}, "vae": {}, "text_encoder": {}}),
        json.dumps({"unet": {"block_out_channels": [10**12]}, "vae": {}, "text_encoder": {}}),
        json.dumps({"unet": {}, "vae": {}, "text_encoder": {"hidden_act": "x" * 1000}}),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(text: str, changed: Any) -> None:
    def claim(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        metadata[METADATA_KEY] = text

    with pytest.raises(InvalidModelFile, match="network configuration"):
        build(changed(claim))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("unet", "down_block_types", ["NoSuchBlock", "DownBlock2D"]),
        ("unet", "block_out_channels", [33, 64]),
        ("unet", "block_out_channels", "many"),
        ("unet", "down_block_types", None),
        ("vae", "layers_per_block", "two"),
        ("vae", "norm_num_groups", 0),
        ("text_encoder", "hidden_act", "no such function"),
        ("text_encoder", "num_attention_heads", 7),
        ("text_encoder", "num_attention_heads", 0),
        ("text_encoder", "hidden_size", "wide"),
        ("text_encoder", "eos_token_id", [1, 2]),
    ],
)
def test_a_configuration_that_no_network_has_is_refused(part: str, key: str, value: Any, changed: Any) -> None:
    def claim(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        table = json.loads(metadata[METADATA_KEY])
        table[part][key] = value
        metadata[METADATA_KEY] = json.dumps(table)

    with pytest.raises(InvalidModelFile, match="network configuration"):
        build(changed(claim))


def test_what_the_libraries_note_for_themselves_does_not_matter(changed: Any) -> None:
    def note(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        table = json.loads(metadata[METADATA_KEY])
        table["unet"] |= {"_class_name": "UNet2DConditionModel", "_diffusers_version": "9.9", "unheard_of": 1}
        table["text_encoder"] |= {"id2label": {"0": "a"}, "dtype": "float16", "architectures": ["CLIPTextModel"]}
        metadata[METADATA_KEY] = json.dumps(table)

    assert build(changed(note)).text_encoder.dtype == torch.float32
