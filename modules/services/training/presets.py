"""Whole sets of values to begin a training from: recommended ones, and those of the papers, word for word.

Ruiz et al. 2022, arXiv:2208.12242, §4.2: learning rate 1e-5, λ = 1, 200 epochs, 200 class pictures for each picture.
Subject2Subject, §4: full 800-1000 steps at 5e-6 or 1300-1500 at 1e-6, LoRA 1e-4, textual inversion 2000 steps at 5e-4.
In prompts, [identifier] and [class noun] stand for those fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from modules.core.errors import InvalidRequest, Problem
from modules.core.named import closest, folded
from modules.core.training_fields import LossFields, MemoryFields, NetworkFields, OptimizerFields, PriorFields
from modules.services.training.defaults import DREAMBOOTH_2022, resolved_plan

__all__ = ["PRESETS", "Preset", "preset_values", "resolved_plan"]

SOMEBODYS = ("seed", "class_pictures", "class_source", "class_seed", "num_processes")  # no preset's business
PAPER_PROMPTS = {"instance_prompt": "a [identifier] [class noun]", "class_prompt": "a [class noun]"}
S2S_PROMPTS = {
    "instance_prompt": "a photo of <[identifier]-[class noun]>",
    "class_prompt": "a photo of the [class noun]",
}
S2S_TOKEN = "Its authors write <sks-dog>, which the tokenizer reads as <, sks, -, dog, >: the class noun is inside the identifier."


@dataclass(frozen=True, kw_only=True)
class Preset:
    """`values`: a plan's fields. What depends on the number of pictures is worked out in `training.defaults`."""

    name: str
    note: str
    values: Mapping[str, Any] = field(repr=False)


def preset_values(name: str) -> Mapping[str, Any]:
    """The fields of a preset, its name among them. Raises InvalidRequest for a name that none has; "" has none."""
    if not name:
        return {}
    found = next((one for one in PRESETS if folded(one.name) == folded(name)), None)
    if found is None:
        meant = closest(name, [one.name for one in PRESETS])
        hint = f"; did you mean {meant!r}?" if meant else "; /api/v1/training/form lists them."
        raise InvalidRequest(Problem(field="preset", message=f"No preset is called {name[:80]!r}{hint}"))
    return {**found.values, "preset": found.name}


@cache
def _usual() -> Mapping[str, Any]:
    """What every preset says of the fields it does not speak of: a preset leaves nothing of the one before."""
    topics = (PriorFields, OptimizerFields, NetworkFields, LossFields, MemoryFields)
    known = {one.name: one.default for topic in topics for one in fields(topic) if one.name not in SOMEBODYS}
    return {
        **known,
        "instance_prompt": "",
        "crop": "center",
        "buckets": False,
        "random_flip": False,
        "preview_every": 0,
    }


def _values(method: str, **own: Any) -> Mapping[str, Any]:
    return {**_usual(), "method": method, **own}


def _lora(rank: int = 16, alpha: float | None = None, **own: Any) -> Mapping[str, Any]:
    return _values("lora", rank=rank, alpha=float(rank if alpha is None else alpha), **own)


def _dreambooth(**own: Any) -> Mapping[str, Any]:
    return _values("dreambooth", **own)


RECOMMENDED = (
    Preset(
        name="Person or pet, LoRA",
        note="Recommended. 100 steps for each picture; the text encoder learns for the first three quarters.",
        values=_lora(learning_rate=1e-4, train_text_encoder=True, text_encoder_lr=5e-5, stop_text_encoder=0.75),
    ),
    Preset(
        name="Try it (starter world)",
        note="For the built-in starter model: minutes on a processor without a graphics card. The text encoder learns too, "
        "since the small one hardly tells rare tokens apart; see docs/training-evidence.md.",
        values=_lora(
            8,
            targets="all linear and convolution",
            learning_rate=7e-4,
            train_text_encoder=True,
            text_encoder_lr=4e-3,
            train_batch_size=2,
            max_train_steps=600,
            with_prior_preservation=True,
            class_prompt="a photo of a [class noun]",  # without the article it keeps another text in place: "a cat" drifts
            num_class_images=48,
            class_steps=12,
            class_cfg_scale=5.0,
            preview_every=100,
        ),
    ),
    Preset(
        name="Best likeness, full DreamBooth",
        note="All layers of the U-Net, with prior preservation. Needs about 20 GB for a model of Stable Diffusion 1.",
        values=_dreambooth(learning_rate=2e-6, with_prior_preservation=True, num_class_images=200),
    ),
    Preset(
        name="Style",
        note="The way pictures look instead of what they show. Captions should describe what is to be seen.",
        values=_lora(
            class_noun="style",
            instance_prompt="a picture in [identifier] [class noun]",
            learning_rate=1e-4,
            random_flip=True,
        ),
    ),
    Preset(
        name="Small file (embedding)",
        note="A word of its own in a few kilobytes, for a look that the model can already draw.",
        values=_values(
            "textual_inversion",
            num_vectors=4,
            learning_rate=5e-3,
            max_train_steps=2000,
            lr_scheduler="cosine",
            instance_prompt="a photo of [identifier]",
        ),
    ),
    Preset(
        name="Low memory (8-12 GB)",
        note="LoRA with Adam in 8 bits (where bitsandbytes is installed), gradient checkpointing and kept latents.",
        values=_lora(learning_rate=1e-4, optimizer="AdamW 8-bit", gradient_checkpointing=True),
    ),
)
PAPERS = (
    Preset(
        name=DREAMBOOTH_2022,
        note="Ruiz et al.: 200 epochs at 1e-5 with prior preservation, λ = 1, and 200 class pictures for each picture. "
        "Others found 1e-5 hard to edit afterwards with Stable Diffusion and take 1e-6 to 5e-6.",
        values=_dreambooth(
            learning_rate=1e-5,
            with_prior_preservation=True,
            num_class_images=200,
            class_sampler="Euler a",
            **PAPER_PROMPTS,
        ),
    ),
    Preset(
        name="Paper: Subject2Subject full-high",
        note=f"800 steps at 5e-6 (800 to 1000 in the paper, 801 in its notebook), prior with 200 pictures. {S2S_TOKEN}",
        values=_dreambooth(
            learning_rate=5e-6,
            max_train_steps=800,
            with_prior_preservation=True,
            num_class_images=200,
            **S2S_PROMPTS,
        ),
    ),
    Preset(
        name="Paper: Subject2Subject full-low",
        note=f"1300 steps at 1e-6 (1300 to 1500 in the paper, 801 and 1200 in its notebook), prior with 200 pictures. {S2S_TOKEN}",
        values=_dreambooth(
            learning_rate=1e-6,
            max_train_steps=1300,
            with_prior_preservation=True,
            num_class_images=200,
            **S2S_PROMPTS,
        ),
    ),
    Preset(
        name="Paper: Subject2Subject LoRA",
        note=f"Rank 4, 601 steps at 1e-4, all attention layers, without prior preservation. {S2S_TOKEN}",
        values=_lora(4, learning_rate=1e-4, max_train_steps=601, instance_prompt=S2S_PROMPTS["instance_prompt"]),
    ),
    Preset(
        name="Paper: Subject2Subject textual inversion",
        note="2000 steps at 5e-4, one vector that begins as the class noun. Its notebook adds up 4 batches a step and "
        "scales the rate with them (--scale_lr): 2e-3 in effect.",
        values=_values(
            "textual_inversion",
            num_vectors=1,
            learning_rate=5e-4,
            max_train_steps=2000,
            instance_prompt="a photo of [identifier]",
        ),
    ),
    Preset(
        name="Blog: 3 pictures",
        note="Three pictures, 200 steps, 'a sks cat', the U-Net only, cut at random: the survey's example.",
        values=_dreambooth(learning_rate=5e-6, max_train_steps=200, crop="random", **PAPER_PROMPTS),
    ),
)
PRESETS = (*RECOMMENDED, *PAPERS)
