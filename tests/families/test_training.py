"""How a model was trained: markers, metadata, a file beside it, and at last its own answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.core.errors import InvalidModelFile
from modules.families import single_file, training
from modules.families.architecture import STABLE_DIFFUSION_1
from modules.families.built import BuildOptions, Built
from modules.families.kinds.sd2 import STABLE_DIFFUSION_2
from modules.families.kinds.sdxl import STABLE_DIFFUSION_XL
from modules.families.store import opened
from modules.families.training import Training, training_of

FULL = BuildOptions(half=False)


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Training]:
    """What a file with these markers, this metadata and this file beside it says of itself."""

    def of(architecture: Any, markers: tuple[str, ...] = (), yaml: str | None = None, **metadata: str) -> Training:
        path = tmp_path / "model.safetensors"
        tensors = {name: torch.zeros(0) for name in markers} | {"x": torch.zeros(1)}
        single_file.save(path, tensors, {name.replace("__", "."): text for name, text in metadata.items()})
        if yaml is not None:
            path.with_suffix(".yaml").write_text(yaml)
        return training_of(opened(path, architecture.layout), architecture)

    return of


def test_a_file_that_says_nothing(told: Callable[..., Training]) -> None:
    assert told(STABLE_DIFFUSION_1) == Training(prediction="epsilon")
    assert told(STABLE_DIFFUSION_XL) == Training(prediction="epsilon")
    assert told(STABLE_DIFFUSION_2) == Training(prediction="")  # to be asked


@pytest.mark.parametrize(
    ("metadata", "prediction"),
    [
        ({"modelspec__prediction_type": "v"}, "v_prediction"),
        ({"modelspec__prediction_type": "v_prediction"}, "v_prediction"),
        ({"modelspec__prediction_type": "epsilon"}, "epsilon"),
        ({"modelspec__prediction_type": "nonsense"}, ""),
        ({"modelspec__architecture": "stable-diffusion-v2-768-v"}, "v_prediction"),
        ({"modelspec__architecture": "stable-diffusion-v2-768-v/lora"}, "v_prediction"),
        ({"modelspec__architecture": "stable-diffusion-v2-512"}, "epsilon"),
        ({"ss_v_parameterization": "True"}, "v_prediction"),
        ({"ss_v_parameterization": "False"}, ""),
    ],
)
def test_metadata(metadata: dict[str, str], prediction: str, told: Callable[..., Training]) -> None:
    assert told(STABLE_DIFFUSION_2, **metadata).prediction == prediction


@pytest.mark.parametrize(
    ("yaml", "prediction"),
    [
        ('model:\n  params:\n    parameterization: "v"\n', "v_prediction"),
        ("model:\n  params:\n    parameterization: v # as trained\n", "v_prediction"),
        ("parameterization: eps", "epsilon"),
        ("model:\n  target: x\n", ""),
        ("parameterization: " + "v" * 1000, ""),
        ("# parameterization: v", ""),
        (" " * (2 << 20), ""),
    ],
)
def test_the_configuration_beside_the_file(yaml: str, prediction: str, told: Callable[..., Training]) -> None:
    assert told(STABLE_DIFFUSION_2, yaml=yaml).prediction == prediction


def test_markers_come_first(told: Callable[..., Training]) -> None:
    known = told(STABLE_DIFFUSION_XL, ("v_pred", "ztsnr"), modelspec__prediction_type="epsilon")
    assert known == Training(prediction="v_prediction", zero_snr=True, markers=("v_pred", "ztsnr"))
    assert told(STABLE_DIFFUSION_XL, ("ztsnr",)).prediction == "epsilon"
    assert told(STABLE_DIFFUSION_XL, ss_zero_terminal_snr="True").zero_snr


def test_other_noise_levels_are_refused(told: Callable[..., Training]) -> None:
    with pytest.raises(InvalidModelFile, match="other noise levels"):
        told(STABLE_DIFFUSION_XL, ("edm_vpred.sigma_max",))


def test_the_noise_levels_are_those_it_was_trained_with() -> None:
    plain, rescaled = Training(prediction="epsilon").sigmas, Training(prediction="epsilon", zero_snr=True).sigmas
    assert len(plain) == len(rescaled) == 1000
    assert plain[0] == pytest.approx(0.0291675, rel=1e-5)
    assert plain[-1] == pytest.approx(14.614643, rel=1e-6)
    assert rescaled[-1] > 4000
    assert rescaled[0] == pytest.approx(plain[0], rel=1e-3)


def test_markers_survive_saving(
    small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path
) -> None:
    header, tensors = single_file.load(small_of("sdxl"))
    path, again = tmp_path / "v.safetensors", tmp_path / "again.safetensors"
    marked = {"v_pred": torch.zeros(0, dtype=torch.float16), "ztsnr": torch.zeros(0, dtype=torch.float16)}
    single_file.save(path, tensors | marked, header.metadata)
    family = family_for(path)
    built = family.build(path, FULL)
    assert (built.prediction, built.sigmas[-1] > 4000) == ("v_prediction", True)
    family.save(built, again, {})
    assert family_for(again).build(again, FULL).sigmas == built.sigmas
    assert single_file.load(again)[1].keys() == single_file.load(path)[1].keys()


# Asking ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sd2(small_of: Callable[[str], Path], family_for: Callable[[Path], Any]) -> Built:
    return family_for(small_of("sd2")).build(small_of("sd2"), FULL)


def answering(alpha: float) -> Any:
    """A U-Net that knows the picture (a flat one) and answers what it was trained for: v with √ᾱ, noise with alpha 1."""
    clean = 0.3

    def predict(x: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        assert timestep.item() == 999
        root = 1 / (1 + 14.614643**2) ** 0.5
        noise = (x - root * clean) / (1 - root**2) ** 0.5
        return noise if alpha == 1 else root * noise - (1 - root**2) ** 0.5 * clean

    return predict


@pytest.mark.parametrize(("alpha", "prediction"), [(1.0, "epsilon"), (0.0, "v_prediction")])
def test_the_answer_to_pure_noise_tells_which_it_is(
    alpha: float, prediction: str, sd2: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sd2, "predict", answering(alpha))
    assert training.asked(sd2) == prediction


def test_a_file_that_says_nothing_is_asked(
    small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path
) -> None:
    header, tensors = single_file.load(small_of("sd2"))
    silent = {name: text for name, text in header.metadata.items() if "prediction" not in name}
    path = tmp_path / "silent.safetensors"
    single_file.save(path, tensors, silent)
    # random weights answer something that has nothing of the noise in it
    assert family_for(path).build(path, FULL).prediction == "v_prediction"
