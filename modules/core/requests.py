"""What somebody asks for. A request is complete: same request, same model file, same pixels.

Settings only fill in defaults, at the face (tab or route), before a request is checked and queued. Every request says
how many results it will give (`images`), which model it needs (`model`, "" for none) and which stored pictures it works
on (`inputs`, ids of `services/inputs.py`).
"""

import re
from dataclasses import dataclass

from modules.core.errors import InvalidRequest, Problem
from modules.core.fields import check, shown
from modules.core.image_fields import (
    LONGEST_NAME,
    HiresFields,
    ModelFields,
    RefinerFields,
    SizeFields,
    TextFields,
)
from modules.core.sampling_fields import GuidanceFields, SamplingFields, SeedFields
from modules.core.training import EvaluationRequest, TrainingPlan

MOST_PIXEL_STEPS = 2048 * 2048 * 150 * 8  # one job's width x height x steps x pictures
MOST_PIXELS = 64_000_000  # of one picture
RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
FILLS = ("fill", "original", "latent noise", "latent nothing")
AREAS = ("Whole picture", "Only masked")
MASK_MODES = ("Inpaint masked", "Inpaint not masked")


@dataclass(frozen=True, kw_only=True)
class ImageRequest(
    RefinerFields, HiresFields, SeedFields, GuidanceFields, SamplingFields, SizeFields, ModelFields, TextFields
):
    """Pictures from text. `seed` is the first picture's; picture i uses seed + i, unless there is a variation strength."""

    save: bool = True  # False: kept for the caller to fetch, not filed under outputs/

    @property
    def images(self) -> int:
        """How many pictures this asks for."""
        return self.batch_count * self.batch_size

    @property
    def inputs(self) -> tuple[str, ...]:
        """Ids of the stored pictures it works on."""
        return ()

    @property
    def hires_size(self) -> tuple[int, int]:
        """Width and height of the second pass, before they are brought to whole latents; the first pass's without one."""
        if not self.enable_hr:
            return self.width, self.height
        x, y = self.hr_resize_x, self.hr_resize_y
        if x and y:
            return x, y
        if x:
            return x, x * self.height // self.width
        if y:
            return y * self.width // self.height, y
        return int(self.width * self.hr_scale), int(self.height * self.hr_scale)

    def prompt_of(self, index: int) -> str:
        """The resolved prompt of picture `index`."""
        return self.prompts[index] if self.prompts else self.prompt

    def negative_of(self, index: int) -> str:
        """The resolved negative prompt of picture `index`."""
        return self.negative_prompts[index] if self.negative_prompts else self.negative_prompt

    def hires_prompt_of(self, index: int) -> str:
        """The resolved prompt of picture `index` in the second pass."""
        if self.hr_prompts:
            return self.hr_prompts[index]
        return self.hr_prompt or self.prompt_of(index)

    def hires_negative_of(self, index: int) -> str:
        """The resolved negative prompt of picture `index` in the second pass."""
        if self.hr_negative_prompts:
            return self.hr_negative_prompts[index]
        return self.hr_negative_prompt or self.negative_of(index)

    def checked(self) -> "ImageRequest":
        """Itself, when every value can be used. Raises InvalidRequest naming the fields that cannot."""
        check(self)
        self._check_texts()
        width, height = self.hires_size
        if width * height > MOST_PIXELS or max(width, height) > 16_384:
            message = f"The second pass would be {width}x{height}; make the factor smaller."
            raise InvalidRequest(Problem(field="hr_scale", message=message))
        second = width * height * (self.hr_steps or self.steps) if self.enable_hr else 0
        if (self.width * self.height * self.steps + second) * self.images > MOST_PIXEL_STEPS:
            message = f"{self.images} pictures of {width}x{height} in {self.steps} steps are more than one job may ask for; make fewer, smaller or split them."
            raise InvalidRequest(Problem(field="batch_count", message=message))
        return self

    def _check_texts(self) -> None:
        for name in ("prompts", "negative_prompts", "hr_prompts", "hr_negative_prompts"):
            texts = getattr(self, name)
            if texts and len(texts) != self.images:
                message = f"There are {len(texts)} texts for {self.images} pictures; there must be one for each."
                raise InvalidRequest(Problem(field=name, message=message))


@dataclass(frozen=True, kw_only=True)
class EditRequest(ImageRequest):
    """Pictures from a picture: img2img, inpainting, outpainting. `width` and `height` are the size to work at.

    `init_images`: ids of stored pictures, one for all or one for each of a batch. `mask`: id of a stored picture, white
    where it is to be painted anew, or "". `outpaint`: pixels added left, up, right and down before anything else.
    """

    denoising_strength: float = shown(
        0.75,
        "Denoising strength",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Denoising strength",
        help="How much is drawn anew: 0 changes nothing, 1 everything.",
    )
    init_images: tuple[str, ...] = ()
    mask: str = ""
    outpaint: tuple[int, int, int, int] = (0, 0, 0, 0)
    resize_mode: str = shown(
        "Just resize", "Resize mode", options=RESIZE_MODES, help="How the picture is brought to width and height."
    )
    mask_blur_x: int = shown(4, "Mask blur", minimum=0, maximum=64, step=1, help="Softens the mask's edge, in pixels.")
    mask_blur_y: int = shown(4, "Mask blur (vertical)", minimum=0, maximum=64, step=1, help="Softens the mask's edge.")
    mask_mode: str = shown(
        "Inpaint masked",
        "Mask mode",
        options=MASK_MODES,
        infotext="Mask mode",
        help="Paint what is masked, or everything else.",
    )
    masked_content: str = shown(
        "original",
        "Masked content",
        options=FILLS,
        infotext="Masked content",
        help="What the masked place is filled with before painting begins.",
    )
    inpaint_area: str = shown(
        "Whole picture",
        "Inpaint area",
        options=AREAS,
        infotext="Inpaint area",
        help="Work on the whole picture, or enlarge just the masked place.",
    )
    inpaint_padding: int = shown(
        32,
        "Only masked padding, pixels",
        minimum=0,
        maximum=256,
        step=4,
        infotext="Masked area padding",
        help="How much around the masked place is looked at.",
    )
    mask_round: bool = True
    background: str = "#ffffff"  # what stands behind a transparent picture; #rrggbb
    image_cfg_scale: float = shown(
        1.5,
        "Image CFG Scale",
        minimum=0,
        maximum=3,
        step=0.05,
        highest=30,
        infotext="Image CFG scale",
        help="For models that edit by instruction: how closely the picture is kept.",
    )
    exact_steps: bool = shown(
        False, "With img2img, do exactly the number of steps", help="Otherwise fewer, by the denoising strength."
    )
    color_correction: bool = shown(
        False, "Apply color correction", help="Bring the colours back to those of the picture it came from."
    )
    initial_noise_multiplier: float = shown(
        1.0,
        "Noise multiplier for img2img",
        minimum=0,
        maximum=1.5,
        step=0.001,
        infotext="Noise multiplier",
        help="Below 1: smoother; above: more detail.",
    )
    extra_noise: float = shown(
        0.0, "Extra noise", minimum=0, maximum=1, step=0.01, infotext="Extra noise", help="Noise added to the latents."
    )
    inpainting_mask_weight: float = shown(
        1.0,
        "Inpainting conditioning mask strength",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Conditional mask weight",
        help="For inpainting models: how much of the masked place is hidden from them.",
    )
    soft_inpainting: bool = shown(
        False,
        "Soft inpainting",
        infotext="Soft inpainting enabled",
        help="Blends the edge of the mask instead of cutting it; raise the mask blur.",
    )
    soft_power: float = shown(
        1.0,
        "Schedule bias",
        minimum=0,
        maximum=8,
        step=0.1,
        infotext="Soft inpainting schedule bias",
        help="When the original is kept: above 1 early, below 1 late.",
    )
    soft_scale: float = shown(
        0.5,
        "Preservation strength",
        minimum=0,
        maximum=8,
        step=0.05,
        infotext="Soft inpainting preservation strength",
        help="How much of partly masked places is kept.",
    )
    soft_detail: float = shown(
        4.0,
        "Transition contrast boost",
        minimum=1,
        maximum=32,
        step=0.5,
        infotext="Soft inpainting transition contrast boost",
        help="Sharper where original and new meet.",
    )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Pictures, then the mask."""
        return (*self.init_images, *([self.mask] if self.mask else []))

    def checked(self) -> "EditRequest":
        """See ImageRequest."""
        super().checked()
        if not self.init_images:
            raise InvalidRequest(Problem(field="init_images", message="There is no picture to start from; add one."))
        if len(self.init_images) not in (1, self.batch_size):
            message = f"There are {len(self.init_images)} pictures for a batch of {self.batch_size}; give one, or one for each."
            raise InvalidRequest(Problem(field="init_images", message=message))
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.background):
            message = f"The background colour is {self.background[:20]!r}; it must be like #ffffff."
            raise InvalidRequest(Problem(field="background", message=message))
        if len(self.outpaint) != 4 or not all(0 <= side <= 1024 for side in self.outpaint):
            message = "Outpainting adds between 0 and 1024 pixels on each of four sides."
            raise InvalidRequest(Problem(field="outpaint", message=message))
        return self


@dataclass(frozen=True, kw_only=True)
class UpscaleRequest:
    """Stored pictures made larger: the Extras tab. `upscale_w`, `upscale_h` count when `by_size`."""

    pictures: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # file names to show and save under, "" or one for each picture
    upscaler_1: str = shown("Lanczos", "Upscaler 1", longest=100, choices="upscalers", help="What makes it larger.")
    upscaler_2: str = shown("None", "Upscaler 2", longest=100, choices="upscalers", help="A second one to blend in.")
    upscaler_2_visibility: float = shown(
        0.0, "Upscaler 2 visibility", minimum=0, maximum=1, step=0.01, help="0 is the first alone, 1 the second alone."
    )
    by_size: bool = shown(False, "Scale to", help="To a size in pixels, instead of by a factor.")
    upscale_by: float = shown(4.0, "Resize", minimum=1, maximum=8, step=0.05, lowest=0.05, help="Factor of both sides.")
    upscale_w: int = shown(512, "Width", minimum=64, maximum=4096, step=8, lowest=1, highest=16384, help="In pixels.")
    upscale_h: int = shown(512, "Height", minimum=64, maximum=4096, step=8, lowest=1, highest=16384, help="In pixels.")
    crop: bool = shown(
        True, "Crop to fit", help="Cut what does not fit the size; otherwise one side may become larger."
    )
    tile: int = shown(
        192,
        "Tile size",
        minimum=0,
        maximum=512,
        step=16,
        help="Model upscalers work in tiles of this size; 0 is whole.",
    )
    tile_overlap: int = shown(8, "Tile overlap", minimum=0, maximum=48, step=1, help="Hides the seams between tiles.")
    save: bool = True
    model: str = ""

    @property
    def images(self) -> int:
        """One result for each picture."""
        return len(self.pictures)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The pictures."""
        return self.pictures

    def checked(self) -> "UpscaleRequest":
        """See ImageRequest."""
        check(self)
        if not self.pictures:
            raise InvalidRequest(Problem(field="pictures", message="There is no picture to make larger; add one."))
        return self


@dataclass(frozen=True, kw_only=True)
class InterrogateRequest:
    """Words for a stored picture. `interrogator`: "clip" ranks known words, "caption" writes a sentence."""

    picture: str = ""
    interrogator: str = "clip"
    model: str = ""
    save: bool = False

    @property
    def images(self) -> int:
        """The result is a text."""
        return 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """The picture."""
        return (self.picture,)

    def checked(self) -> "InterrogateRequest":
        """See ImageRequest."""
        if not self.picture:
            raise InvalidRequest(Problem(field="picture", message="There is no picture to describe; add one."))
        return self


@dataclass(frozen=True, kw_only=True)
class MergeRequest:
    """A new checkpoint from up to three. `multiplier` M: A (1 - M) + B M, or A + M (B - C)."""

    model_a: str = shown("", "Primary model (A)", longest=LONGEST_NAME, choices="models", help="The first model.")
    model_b: str = shown("", "Secondary model (B)", longest=LONGEST_NAME, choices="models", help="The second model.")
    model_c: str = shown("", "Tertiary model (C)", longest=LONGEST_NAME, choices="models", help="For Add difference.")
    method: str = shown(
        "Weighted sum",
        "Interpolation Method",
        options=("Weighted sum", "Add difference", "No interpolation"),
        help="Weighted sum: A * (1 - M) + B * M. Add difference: A + (B - C) * M. No interpolation: A alone.",
    )
    multiplier: float = shown(
        0.3, "Multiplier (M)", minimum=0, maximum=1, step=0.05, help="0 is A alone.", lowest=-2, highest=2
    )
    vae: str = shown("None", "Bake in VAE", longest=LONGEST_NAME, choices="vaes", help="An autoencoder to put in.")
    name: str = shown("", "Custom Name", longest=120, help="File name of the result; empty is made of the names.")
    half: bool = shown(True, "Save as float16", help="Half the size, which is what most files are.")
    keep_metadata: bool = shown(True, "Save metadata", help="Keep what the files say about themselves, and the recipe.")
    save: bool = True

    @property
    def model(self) -> str:
        """The first model."""
        return self.model_a

    @property
    def images(self) -> int:
        """The result is a file."""
        return 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """None."""
        return ()

    def checked(self) -> "MergeRequest":
        """See ImageRequest."""
        check(self)
        wanted = {"Weighted sum": ("model_a", "model_b"), "Add difference": ("model_a", "model_b", "model_c")}
        for name in wanted.get(self.method, ("model_a",)):
            if not getattr(self, name):
                raise InvalidRequest(Problem(field=name, message=f"{self.method} needs this model; choose one."))
        return self


Request = (
    ImageRequest | EditRequest | UpscaleRequest | InterrogateRequest | MergeRequest | TrainingPlan | EvaluationRequest
)


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file beside the checkpoints: `kind` is lora, embedding, hypernetwork, vae or upscaler; its key words are there.

    `name`: the file's name without ending, as prompts write it. `alias`: what its metadata calls it, or "".
    """

    kind: str
    name: str
    path: str
    size: int
    modified: int
    alias: str = ""
    sha256: str = ""
    short_hash: str = ""  # what infotexts write: of the tensors alone for a LoRA
    problem: str = ""
    words: tuple[str, ...] = ()  # trigger words


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
