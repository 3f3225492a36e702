"""What results say of themselves, and that our own lists read it."""

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.places import Places
from modules.core.tensorfile import read_header
from modules.core.training import TrainingPlan
from modules.families import single_file
from modules.services.shelf import Shelf
from modules.services.shelf_base import base_of
from modules.training import initial, lora_files, metadata
from modules.training.learner import Exported
from modules.training.metadata import OWN_KEY, Facts, tag_frequency, trigger

FACTS = Facts(
    family="Stable Diffusion 1.x",
    prediction="epsilon",
    model_name="starter",
    model_hash="ab" * 32,
    step=400,
    captions=("a photo of sks cat, snow", "a photo of sks cat", ""),
    data_hash="cd" * 32,
    date="2026-11-21",
    resolution=(128, 128),
)
LORA = Exported(kind="lora", format="kohya", metadata={"extra": "1"})
EMBEDDING = Exported(kind="embedding", format="pt", suffix=".pt")
CHECKPOINT = Exported(kind="checkpoint", format="checkpoint")


@pytest.mark.parametrize("module", [metadata, initial, lora_files])
def test_the_examples_are_true(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_lora_says_what_cards_show(plan_of: Callable[..., TrainingPlan]) -> None:
    found = metadata.metadata(plan_of(method="lora", rank=8, alpha=4.0), FACTS, LORA)
    assert found["modelspec.trigger_phrase"] == "sks cat"
    assert found["modelspec.title"] == found["ss_output_name"] == "my-cat"
    assert found["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert found["modelspec.resolution"] == "128x128"
    assert found["modelspec.date"] == "2026-11-21"
    assert found["modelspec.implementation"].endswith("CompVis/stable-diffusion")
    assert "<lora:my-cat:1>" in found["modelspec.usage_hint"]
    network = [found[f"ss_network_{key}"] for key in ("module", "dim", "alpha")]
    assert network == ["networks.lora", "8", "4.0"]
    assert json.loads(found["ss_network_args"]) == {"targets": "attention", "train_text_encoder": False}
    assert found["ss_base_model_version"] == "sd_v1"
    assert found["ss_sd_model_hash"] == "ababababab"
    assert json.loads(found["ss_tag_frequency"]) == {"my-cat": {"a photo of sks cat": 2, "snow": 1}}
    assert found["extra"] == "1", "what the format itself needs is kept"
    assert all(isinstance(value, str) and value for value in found.values())


@pytest.mark.parametrize(
    ("family", "prediction", "architecture", "base"),
    [
        ("Stable Diffusion 1.x", "epsilon", "stable-diffusion-v1", "SD 1.x"),
        ("Stable Diffusion 1.x inpainting", "epsilon", "stable-diffusion-v1", "SD 1.x"),
        ("Stable Diffusion 2.x", "epsilon", "stable-diffusion-v2-512", "SD 2.x"),
        ("Stable Diffusion 2.x", "v_prediction", "stable-diffusion-v2-768-v", "SD 2.x"),
        ("Stable Diffusion XL", "epsilon", "stable-diffusion-xl-v1-base", "SDXL"),
        ("Stable Diffusion XL refiner", "epsilon", "stable-diffusion-xl-v1-refiner", "SDXL refiner"),
        ("Something else", "epsilon", None, ""),
    ],
)
def test_the_base_is_known_by_it(
    family: str, prediction: str, architecture: str | None, base: str, plan_of: Callable[..., TrainingPlan]
) -> None:
    facts = Facts(**(vars(FACTS) | {"family": family, "prediction": prediction}))
    for one, ending in ((LORA, "/lora"), (EMBEDDING, "/textual-inversion"), (CHECKPOINT, "")):
        found = metadata.metadata(plan_of(), facts, one)
        assert found.get("modelspec.architecture") == (architecture and architecture + ending)
        assert base_of({}, found) == base
        assert found["modelspec.prediction_type"] == ("v" if prediction == "v_prediction" else "epsilon")


def test_trigger_words(plan_of: Callable[..., TrainingPlan]) -> None:
    assert trigger(plan_of(method="textual_inversion")) == "my-cat"
    assert trigger(plan_of(identifier="ohwx", class_noun="")) == "ohwx"
    assert trigger(plan_of(identifier="", class_noun="cat")) == "cat"
    found = metadata.metadata(plan_of(method="textual_inversion", num_vectors=4), FACTS, EMBEDDING)
    assert found["modelspec.trigger_phrase"] == "my-cat"
    assert found["ss_network_dim"] == "4"


def test_our_own_json_repeats_the_training_and_tells_nothing_private(plan_of: Callable[..., TrainingPlan]) -> None:
    plan = plan_of(method="lora", rank=8, folder="/home/me/cats", names=("me.png",), captions=("a",), run="r1")
    found = json.loads(metadata.metadata(plan, FACTS, LORA)[OWN_KEY])
    assert (found["data_hash"], found["step"], found["pictures"]) == ("cd" * 32, 400, 3)
    assert not {"pictures", "names", "captions", "crops", "class_pictures", "folder", "run"} & set(found["plan"])
    again = TrainingPlan(**{key: tuple(one) if isinstance(one, list) else one for key, one in found["plan"].items()})
    expected = plan_of(method="lora", rank=8, pictures=())
    assert again == expected


def test_tags_are_counted() -> None:
    assert tag_frequency(["b, a", "a,  b ,b", ""]) == {"b": 3, "a": 2}
    assert len(tag_frequency([", ".join(f"tag{n}" for n in range(900))])) == 500


def test_our_lists_show_the_words(tmp_path: Path, plan_of: Callable[..., TrainingPlan]) -> None:
    """A LoRA in models/Lora brings its trigger words, name and base into the lists by itself."""
    places = Places(data=tmp_path, models=tmp_path / "models")
    path = tmp_path / "models" / "Lora" / "file.safetensors"
    tensors = {"lora_unet_x.lora_up.weight": torch.zeros(1, 1)}
    single_file.save(path, tensors, metadata.metadata(plan_of(method="lora"), FACTS, LORA))
    (record,) = Shelf(places).files("lora")
    assert record.words == ("sks cat",)
    assert record.alias == "my-cat"
    assert base_of({}, read_header(path).metadata) == "SD 1.x"
