"""The fields of a request for pictures, by topic. `requests.py` puts them together; defaults are the field's own."""

from dataclasses import dataclass

from modules.core.fields import shown

LONGEST_PROMPT = 20_000
LONGEST_NAME = 1024
SAME = "Use same"  # what "Hires sampler: Use same sampler" begins with; an empty field means the same


@dataclass(frozen=True, kw_only=True)
class TextFields:
    """What to draw, in words.

    `prompts` and `negative_prompts`: the resolved text of each picture (styles merged, comments stripped, wildcards and
    variants drawn); the desk fills them in; empty means that `prompt` holds for all. `template`: what stood in the
    prompt before wildcards were drawn. `styles`: names still to be merged.
    """

    prompt: str = shown(
        "",
        "Prompt",
        longest=LONGEST_PROMPT,
        help="What to draw. (word:1.2) draws attention to a word, [word] away from it.",
    )
    negative_prompt: str = shown("", "Negative prompt", longest=LONGEST_PROMPT, help="What to stay away from.")
    prompts: tuple[str, ...] = ()
    negative_prompts: tuple[str, ...] = ()
    template: str = ""
    negative_template: str = ""
    styles: tuple[str, ...] = shown(
        (), "Styles", choices="styles", help="Kept texts that are added to prompt and negative prompt."
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
        infotext="Emphasis",
        help="How (attention) changes the text's embedding.",
    )
    comma_backtrack: int = shown(
        20,
        "Comma backtrack",
        minimum=0,
        maximum=74,
        step=1,
        help="When a prompt fills 75 tokens, go back this far for a comma to break at.",
    )
    old_editing: bool = shown(
        False,
        "Old prompt editing timelines",
        infotext="Old prompt editing timelines",
        help="In [from:to:N], read N below 1 as a fraction and any other as a step, in both passes.",
    )
    pad_conds: bool = shown(
        False,
        "Pad prompt and negative prompt to be the same length",
        infotext="Pad conds",
        help="Faster when one is longer than 75 tokens; changes the picture a little.",
    )
    disable_extra_networks: bool = shown(
        False, "Leave out extra networks", help="<lora:…> and <hypernet:…> are cut from the prompt without effect."
    )


@dataclass(frozen=True, kw_only=True)
class ModelFields:
    """What draws."""

    model: str = shown(
        "", "Model", longest=LONGEST_NAME, choices="models", infotext="Model", help="The checkpoint that draws."
    )
    vae: str = shown(
        "Automatic",
        "VAE",
        longest=LONGEST_NAME,
        choices="vaes",
        infotext="VAE",
        help="Another autoencoder for the checkpoint; Automatic takes the file beside it, if there is one.",
    )
    fp8: str = shown(
        "Disable",
        "FP8 weight",
        options=("Disable", "Enable for SDXL", "Enable"),
        infotext="FP8 weight",
        help="Keep the network in 8 bits: half the memory, a little less exact.",
    )
    tiling: bool = shown(False, "Tiling", infotext="Tiling", help="A picture whose edges fit each other.")
    token_merging_ratio: float = shown(
        0.0,
        "Token merging ratio",
        minimum=0,
        maximum=0.9,
        step=0.1,
        infotext="Token merging ratio",
        help="Faster with large pictures, less detail: merges similar places in the picture.",
    )


@dataclass(frozen=True, kw_only=True)
class SizeFields:
    """How large and how many. Sizes in pixels."""

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
    batch_count: int = shown(
        1, "Batch count", minimum=1, maximum=100, step=1, help="How many batches, one after the other."
    )
    batch_size: int = shown(
        1, "Batch size", minimum=1, maximum=8, step=1, help="How many pictures at the same time; needs memory."
    )


@dataclass(frozen=True, kw_only=True)
class HiresFields:
    """The second pass at a larger size. Empty texts and 0 steps mean the same as in the first pass."""

    enable_hr: bool = shown(False, "Hires. fix", help="Draw small, enlarge, draw the details again.")
    hr_upscaler: str = shown(
        "Latent",
        "Upscaler",
        longest=100,
        choices="hires_upscalers",
        infotext="Hires upscaler",
        help="How the first picture is enlarged before the second pass.",
    )
    hr_scale: float = shown(
        2.0, "Upscale by", minimum=1, maximum=4, step=0.05, infotext="Hires upscale", help="Factor of both sides."
    )
    hr_resize_x: int = shown(
        0, "Resize width to", minimum=0, maximum=2048, step=8, help="Instead of the factor; 0 keeps the shape."
    )
    hr_resize_y: int = shown(
        0, "Resize height to", minimum=0, maximum=2048, step=8, help="Instead of the factor; 0 keeps the shape."
    )
    hr_steps: int = shown(
        0, "Hires steps", minimum=0, maximum=150, step=1, infotext="Hires steps", help="0: as many as the first pass."
    )
    denoising_strength: float = shown(
        0.7,
        "Denoising strength",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Denoising strength",
        help="How much is drawn anew: 0 changes nothing, 1 everything.",
    )
    hr_model: str = shown(
        "",
        "Hires checkpoint",
        longest=LONGEST_NAME,
        choices="models",
        infotext="Hires checkpoint",
        help="Another checkpoint for the second pass; empty is the same.",
    )
    hr_sampler: str = shown(
        "",
        "Hires sampling method",
        longest=100,
        choices="samplers",
        infotext="Hires sampler",
        help="Empty is the same as in the first pass.",
    )
    hr_schedule: str = shown(
        "",
        "Hires schedule type",
        longest=100,
        choices="schedules",
        infotext="Hires schedule type",
        help="Empty is the same as in the first pass.",
    )
    hr_prompt: str = shown(
        "", "Hires prompt", longest=LONGEST_PROMPT, infotext="Hires prompt", help="Empty is the same prompt."
    )
    hr_negative_prompt: str = shown(
        "",
        "Hires negative prompt",
        longest=LONGEST_PROMPT,
        infotext="Hires negative prompt",
        help="Empty is the same negative prompt.",
    )
    hr_prompts: tuple[str, ...] = ()
    hr_negative_prompts: tuple[str, ...] = ()
    token_merging_ratio_hr: float = shown(
        0.0,
        "Token merging ratio for the second pass",
        minimum=0,
        maximum=0.9,
        step=0.1,
        infotext="Token merging ratio hr",
        help="Faster second pass, less detail.",
    )


@dataclass(frozen=True, kw_only=True)
class RefinerFields:
    """Another checkpoint for the last steps."""

    refiner_model: str = shown(
        "",
        "Refiner",
        longest=LONGEST_NAME,
        choices="models",
        infotext="Refiner",
        help="The checkpoint that draws the last steps; empty is none.",
    )
    refiner_switch_at: float = shown(
        0.8,
        "Switch at",
        minimum=0.01,
        maximum=1,
        step=0.01,
        infotext="Refiner switch at",
        help="Part of the way from noise to picture after which the refiner takes over.",
    )
    refiner_by_steps: bool = shown(
        False,
        "Switch to the refiner by sampling steps",
        infotext="Refiner switch by sampling steps",
        help="Count steps, as older programs did, instead of how much noise is left.",
    )
