"""What somebody asks for. A request is complete: same request, same model file, same pixels.

Settings only fill in defaults, at the face (tab or route), before a request is checked and queued.
"""

from dataclasses import dataclass

from modules.core.errors import InvalidRequest, Problem
from modules.core.fields import check, shown

LONGEST_PROMPT = 20_000
HIGHEST_SEED = 2**63 - 1
MOST_PIXEL_STEPS = 2048 * 2048 * 150 * 8  # one job's width x height x steps x pictures


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """Pictures from text. `seed` is the first picture's; picture i uses seed + i. See `defaults.md` of the field."""

    prompt: str = shown(
        "",
        "Prompt",
        longest=LONGEST_PROMPT,
        help="What to draw. (word:1.2) draws attention to a word, [word] away from it.",
    )
    negative_prompt: str = shown("", "Negative prompt", longest=LONGEST_PROMPT, help="What to stay away from.")
    model: str = shown("", "Model", longest=1024, choices="models", infotext="Model", help="The checkpoint that draws.")
    sampler: str = shown(
        "DPM++ 2M",
        "Sampling method",
        longest=100,
        choices="samplers",
        infotext="Sampler",
        help="The algorithm that turns noise into a picture.",
    )
    schedule: str = shown(
        "Automatic",
        "Schedule type",
        longest=100,
        choices="schedules",
        infotext="Schedule type",
        help="How the noise falls from step to step; Automatic is the sampler's own.",
    )
    steps: int = shown(
        20,
        "Sampling steps",
        minimum=1,
        maximum=150,
        step=1,
        infotext="Steps",
        help="More steps take longer and draw finer.",
    )
    width: int = shown(
        512,
        "Width",
        minimum=64,
        maximum=2048,
        step=8,
        multiple_of=8,
        help="In pixels; best near the size the model was trained at.",
    )
    height: int = shown(
        512,
        "Height",
        minimum=64,
        maximum=2048,
        step=8,
        multiple_of=8,
        help="In pixels; best near the size the model was trained at.",
    )
    cfg_scale: float = shown(
        7.0,
        "CFG Scale",
        minimum=1,
        maximum=30,
        step=0.5,
        lowest=0,
        highest=100,
        infotext="CFG scale",
        help="How closely the picture follows the prompt.",
    )
    seed: int = shown(
        -1,
        "Seed",
        lowest=-1,
        highest=HIGHEST_SEED,
        infotext="Seed",
        help="The same seed and settings give the same picture; -1 takes a new one.",
    )
    batch_count: int = shown(
        1, "Batch count", minimum=1, maximum=100, step=1, help="How many batches, one after the other."
    )
    batch_size: int = shown(
        1, "Batch size", minimum=1, maximum=8, step=1, help="How many pictures at the same time; needs memory."
    )
    clip_skip: int = shown(
        1,
        "Clip skip",
        minimum=1,
        maximum=12,
        step=1,
        infotext="Clip skip",
        help="Take the text from an earlier layer of CLIP; 1 is the last.",
    )
    emphasis: str = shown(
        "Original",
        "Emphasis",
        options=("Original", "No norm", "Ignore", "None"),
        help="How (attention) changes the text's embedding.",
    )
    noise_source: str = shown(
        "CPU",
        "Random numbers",
        options=("CPU",),
        infotext="RNG",
        help="Where the starting noise is drawn; CPU gives the same picture on every machine.",
    )
    comma_backtrack: int = shown(
        20,
        "Comma backtrack",
        minimum=0,
        maximum=74,
        step=1,
        help="When a prompt fills 75 tokens, go back this far for a comma to break at.",
    )
    eta: float | None = shown(
        None,
        "Eta",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Eta",
        help="Fresh noise per step of an ancestral sampler; empty is the sampler's own.",
    )
    save: bool = True  # False: kept for the caller to fetch, not filed under outputs/

    @property
    def images(self) -> int:
        """How many pictures this asks for."""
        return self.batch_count * self.batch_size

    def checked(self) -> "ImageRequest":
        """Itself, when every value can be used. Raises InvalidRequest naming the fields that cannot."""
        check(self)
        cost = self.width * self.height * self.steps * self.images
        if cost > MOST_PIXEL_STEPS:
            message = f"{self.images} pictures of {self.width}x{self.height} in {self.steps} steps are more than one job may ask for; make fewer, smaller or split them."
            raise InvalidRequest(Problem(field="batch_count", message=message))
        return self


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """A checkpoint on disk, as far as its header tells.

    `name` is the path below its root without extension; `title` what lists show: file name plus short hash when known.
    `width`, `height`: the size it was trained at. `modified`: nanoseconds, as stat gives it.
    """

    name: str
    path: str
    title: str
    size: int
    modified: int
    sha256: str = ""
    display_name: str = ""
    description: str = ""
    width: int = 512
    height: int = 512
    problem: str = ""  # why it cannot be loaded; "" when nothing is known against it

    @property
    def short_hash(self) -> str:
        """The ten hexadecimal digits that lists and picture texts use; "" while it is not hashed."""
        return self.sha256[:10]
