"""How a model was trained, as far as drawing with it depends on it: what its U-Net predicts, and its noise levels.

Files seldom say. In this order: marker tensors (`v_pred`, `ztsnr`), metadata (ModelSpec, kohya), the scheduler of a
folder, a `.yaml` beside the file, and at last the U-Net itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modules.core.errors import InvalidModelFile
from modules.diffusion.conditioning import read
from modules.diffusion.denoiser import sigma_table, zero_terminal_snr
from modules.families.architecture import EPSILON, VELOCITY, Architecture
from modules.families.built import Built
from modules.families.store import Store

V_MARKER, ZERO_SNR_MARKER = "v_pred", "ztsnr"
OTHER_MARKERS = ("edm_vpred.sigma_max", "edm_vpred.sigma_min", "edm_mean")
WORDS = {"epsilon": EPSILON, "eps": EPSILON, "v": VELOCITY, "v_prediction": VELOCITY, "v-prediction": VELOCITY}
PARAMETERIZATION = re.compile(r"^\s*parameterization:\s*[\"']?(\w+)", re.MULTILINE)
LONGEST_YAML = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Training:
    """`prediction` is "" when nothing says it. `markers`: the marker tensors of the file."""

    prediction: str
    zero_snr: bool = False
    markers: tuple[str, ...] = ()

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The noise level of each training step, ascending."""
        return zero_terminal_snr(sigma_table()) if self.zero_snr else sigma_table()


def training_of(store: Store, architecture: Architecture) -> Training:
    """What is known without asking the U-Net. Raises InvalidModelFile for noise levels that are not ours."""
    if any(name in store for name in OTHER_MARKERS):
        raise InvalidModelFile(
            f"{store.name} was trained with other noise levels (EDM), which cannot be drawn with yet."
        )
    markers = tuple(name for name in (V_MARKER, ZERO_SNR_MARKER) if name in store)
    told = (
        VELOCITY if V_MARKER in markers else "",
        _by_metadata(store.metadata),
        _by_scheduler(store),
        _by_yaml(store.path),
    )
    zero_snr = ZERO_SNR_MARKER in markers or bool(store.scheduler.get("rescale_betas_zero_snr"))
    zero_snr = zero_snr or store.metadata.get("ss_zero_terminal_snr", "").lower() == "true"
    prediction = next((one for one in told if one), architecture.prediction)
    return Training(prediction=prediction, zero_snr=zero_snr, markers=markers)


def _by_metadata(metadata: Mapping[str, str]) -> str:
    told = WORDS.get(metadata.get("modelspec.prediction_type", "").lower(), "")
    if told or metadata.get("ss_v_parameterization", "").lower() == "true":
        return told or VELOCITY
    # ModelSpec's names of the second version's two forms
    architecture = metadata.get("modelspec.architecture", "").split("/")[0]
    return {"stable-diffusion-v2-768-v": VELOCITY, "stable-diffusion-v2-512": EPSILON}.get(architecture, "")


def _by_scheduler(store: Store) -> str:
    told: Any = store.scheduler.get("prediction_type")
    if told is None and store.in_diffusers_form:
        return EPSILON  # diffusers' default
    if told is not None and told not in (EPSILON, VELOCITY):
        raise InvalidModelFile(f"{store.name} predicts {str(told)[:40]!r}; known are {EPSILON} and {VELOCITY}.")
    return told or ""


def _by_yaml(path: Path) -> str:
    """The field's habit: the training configuration beside the file, of which one line matters."""
    beside = path.with_suffix(".yaml")
    try:
        if path.is_dir() or beside.stat().st_size > LONGEST_YAML:
            return ""
        found = PARAMETERIZATION.search(beside.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return WORDS.get(found[1], "") if found else ""


@dataclass(frozen=True, kw_only=True)
class _Nothing:
    """The chunk of an empty prompt."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...] = (1.0,) * 77
    inserted: tuple[Any, ...] = ()


@torch.inference_mode()
def asked(built: Built) -> str:
    """What the U-Net predicts, by its answer to pure noise at the last training step.

    There the noise itself is the right answer of one that predicts noise; one that predicts v = √ᾱ noise - √(1-ᾱ) clean
    answers, with √ᾱ = 0.07, hardly anything of it.
    """
    tower = built.towers[0]
    encoder = getattr(built, tower.part)
    ends = (encoder.config.eos_token_id,) * 76
    text, _ = read([[_Nothing(tokens=(encoder.config.bos_token_id, *ends))]], encoder, tower.reading)
    noise = torch.randn(1, built.latent_channels, 16, 16, generator=torch.Generator().manual_seed(0))
    answer = built.predict(noise, torch.tensor([len(built.sigmas) - 1.0]), text).cpu()
    share = (answer * noise).sum() / noise.square().sum()
    return EPSILON if share > 0.5 else VELOCITY
