"""How much disk and memory a training will about take, told before anything was measured; a dry step measures it.

Bytes in memory: each number that learns takes 16 (itself, its gradient, two moments of Adam, all in 32 bits).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from modules.core.training import TrainingPlan

WHOLE = ("dreambooth", "custom_diffusion")
LEARNS = {"dreambooth": 0.8, "custom_diffusion": 0.05}  # parts of a checkpoint's numbers
LORA_EACH = 0.0002  # of a checkpoint's numbers for each rank: attention of Stable Diffusion 1, and about so for others
TARGETS = {"attention": 1.0, "attention and feed-forward": 2.5, "all linear and convolution": 5.0}
EMBEDDING = 100_000  # numbers, at most
NUMBER = {"fp16": 2, "bf16": 2, "fp32": 4}  # bytes in the files
LEARNING, STATE, AVERAGE = 16, 12, 4  # bytes for each number: in memory, in a checkpoint to go on from, more with EMA
STATES = 3  # two are kept while the next is written
PICTURE = 1.5  # bytes for each pixel of a PNG


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes. `free`: on the disk where trainings lie."""

    disk: int
    memory: int
    free: int


def estimate(plan: TrainingPlan, model_bytes: int, outputs: Path) -> Estimate:
    """What a complete plan will about need. `model_bytes`: of the checkpoint's file, in 16 bits as most are."""
    numbers = model_bytes / 2
    learning = _learning(plan, numbers)
    result = numbers * NUMBER[plan.save_precision] if plan.method in WHOLE else learning * NUMBER[plan.save_precision]
    states = STATES * learning * (STATE + (AVERAGE if plan.use_ema else 0))
    disk = (plan.keep_last + 2) * max(1, len(plan.formats)) * result + states + _pictures(plan)
    memory = model_bytes * (2 if plan.method in WHOLE else 1) + learning * (LEARNING - 4 * (plan.method in WHOLE))
    return Estimate(disk=round(disk), memory=round(memory), free=shutil.disk_usage(_existing(outputs)).free)


def _learning(plan: TrainingPlan, numbers: float) -> float:
    """How many numbers learn."""
    if plan.method == "lora":
        return numbers * LORA_EACH * plan.rank * TARGETS.get(plan.targets, 1.0)
    if plan.method in WHOLE:
        return numbers * min(1.0, LEARNS[plan.method] + (0.12 if plan.train_text_encoder else 0.0))
    return min(EMBEDDING, numbers)


def _pictures(plan: TrainingPlan) -> float:
    shown = plan.max_train_steps // max(1, plan.preview_every) + 2 if plan.preview_every > 0 else 0
    made = plan.num_class_images if plan.with_prior_preservation and plan.class_source == "generate" else 0
    return (len(plan.pictures) + shown * len(plan.preview_prompts) + made) * plan.resolution**2 * PICTURE


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())


def in_words(count: int) -> str:
    """Bytes for people.

    >>> in_words(13_800_000_000), in_words(6_400_000), in_words(900)
    ('13.8 GB', '6 MB', '1 kB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
