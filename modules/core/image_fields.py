"""The fields of a request for pictures, by topic. `requests.py` puts them together; defaults are the field's own."""

from dataclasses import dataclass

from modules.core.fields import shown

LONGEST_PROMPT = 20_000
HIGHEST_SEED = 2**63 - 1
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
class SamplingFields:
    """How noise becomes a picture. None and 0 of sigma_min, sigma_max and rho leave it to schedule and model."""

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
    eta: float | None = shown(
        None,
        "Eta",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Eta",
        help="Fresh noise per step of an ancestral sampler; empty is the sampler's own.",
    )
    s_churn: float = shown(
        0.0, "Sigma churn", minimum=0, maximum=100, step=0.01, infotext="Sigma churn", help="Noise added back per step."
    )
    s_tmin: float = shown(
        0.0, "Sigma tmin", minimum=0, maximum=100, step=0.01, infotext="Sigma tmin", help="Churn only above this sigma."
    )
    s_tmax: float = shown(
        0.0,
        "Sigma tmax",
        minimum=0,
        maximum=1000,
        step=0.01,
        infotext="Sigma tmax",
        help="Churn only below this sigma; 0 is no limit.",
    )
    s_noise: float = shown(
        1.0,
        "Sigma noise",
        minimum=0,
        maximum=2,
        step=0.001,
        infotext="Sigma noise",
        help="Strength of the noise that stochastic samplers add.",
    )
    sigma_min: float = shown(
        0.0,
        "Schedule min sigma",
        minimum=0,
        maximum=1000,
        step=0.01,
        infotext="Schedule min sigma",
        help="Where the schedule ends; 0 is the model's own.",
    )
    sigma_max: float = shown(
        0.0,
        "Schedule max sigma",
        minimum=0,
        maximum=1000,
        step=0.1,
        infotext="Schedule max sigma",
        help="Where the schedule begins; 0 is the model's own.",
    )
    rho: float = shown(
        0.0,
        "Schedule rho",
        minimum=0,
        maximum=100,
        step=0.1,
        infotext="Schedule rho",
        help="Curve of Karras and Polyexponential; 0 is the schedule's own.",
    )
    beta_alpha: float = shown(
        0.6,
        "Beta schedule alpha",
        minimum=0.01,
        maximum=5,
        step=0.01,
        infotext="Beta schedule alpha",
        help="First parameter of the Beta schedule.",
    )
    beta_beta: float = shown(
        0.6,
        "Beta schedule beta",
        minimum=0.01,
        maximum=5,
        step=0.01,
        infotext="Beta schedule beta",
        help="Second parameter of the Beta schedule.",
    )
    discard_penultimate: bool = shown(
        False,
        "Always discard next-to-last sigma",
        infotext="Discard penultimate sigma",
        help="Leave out the last small step; some samplers do it anyway.",
    )
    sgm_noise: bool = shown(
        False,
        "SGM noise multiplier",
        infotext="SGM noise multiplier",
        help="Scale the starting noise as SDXL's own code does.",
    )
    noise_schedule: str = shown(
        "Default",
        "Noise schedule for sampling",
        options=("Default", "Zero Terminal SNR"),
        infotext="Noise Schedule",
        help="Zero Terminal SNR rescales the noise levels so that the first is pure noise; for models trained so.",
    )
    unipc_order: int = shown(
        3, "UniPC order", minimum=1, maximum=4, step=1, infotext="UniPC order", help="Order of the UniPC sampler."
    )


@dataclass(frozen=True, kw_only=True)
class GuidanceFields:
    """How the estimates with and without the prompt are combined."""

    guidance: str = shown(
        "CFG",
        "Guidance",
        longest=100,
        choices="guidance",
        infotext="Guidance",
        help="The rule that turns CFG Scale into a picture that follows the prompt.",
    )
    guidance_rescale: float = shown(
        0.7,
        "Guidance rescale",
        minimum=0,
        maximum=1,
        step=0.05,
        infotext="Guidance rescale",
        help="For guidance CFG rescale: how far contrast is brought back.",
    )
    threshold_percentile: float = shown(
        0.995,
        "Threshold percentile",
        minimum=0.5,
        maximum=1,
        step=0.001,
        infotext="Threshold percentile",
        help="For guidance Dynamic thresholding: values beyond this part of all are pulled in.",
    )
    cfg_start: float = shown(
        0.0,
        "Guidance from",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="CFG interval start",
        help="Part of the steps before which there is no guidance.",
    )
    cfg_end: float = shown(
        1.0,
        "Guidance to",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="CFG interval end",
        help="Part of the steps after which there is no guidance.",
    )
    skip_early_cond: float = shown(
        0.0,
        "Ignore negative prompt during early sampling",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Skip Early CFG",
        help="Part of the steps at the beginning that leave the negative prompt out; faster.",
    )
    s_min_uncond: float = shown(
        0.0,
        "Negative guidance minimum sigma",
        minimum=0,
        maximum=15,
        step=0.01,
        infotext="NGMS",
        help="Below this sigma every second step leaves the negative prompt out; faster.",
    )
    ngms_all_steps: bool = shown(
        False,
        "Negative guidance minimum sigma all steps",
        infotext="NGMS all steps",
        help="Below that sigma all steps leave the negative prompt out.",
    )


@dataclass(frozen=True, kw_only=True)
class SeedFields:
    """Where the random numbers come from. `subseed` -1 takes a new one; 0 of the sizes is off."""

    seed: int = shown(
        -1,
        "Seed",
        lowest=-1,
        highest=HIGHEST_SEED,
        infotext="Seed",
        help="The same seed and settings give the same picture; -1 takes a new one.",
    )
    subseed: int = shown(
        -1,
        "Variation seed",
        lowest=-1,
        highest=HIGHEST_SEED,
        infotext="Variation seed",
        help="The seed to move towards; -1 takes a new one.",
    )
    subseed_strength: float = shown(
        0.0,
        "Variation strength",
        minimum=0,
        maximum=1,
        step=0.01,
        infotext="Variation seed strength",
        help="0 is the picture of the seed, 1 that of the variation seed.",
    )
    seed_resize_from_w: int = shown(
        0,
        "Resize seed from width",
        minimum=0,
        maximum=2048,
        step=8,
        help="Make a picture like the one the seed gives at this width; 0 is off.",
    )
    seed_resize_from_h: int = shown(
        0,
        "Resize seed from height",
        minimum=0,
        maximum=2048,
        step=8,
        help="Make a picture like the one the seed gives at this height; 0 is off.",
    )
    noise_source: str = shown(
        "CPU",
        "Random numbers",
        options=("CPU", "NV", "GPU"),
        infotext="RNG",
        help="Where noise is drawn: CPU and NV give the same picture on every machine, NV the one of an NVIDIA card.",
    )
    ensd: int = shown(
        0,
        "Eta noise seed delta",
        lowest=-(2**31),
        highest=2**31,
        infotext="ENSD",
        help="Added to the seed after the starting noise; for pictures of others that used it.",
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
        help="Part of the steps after which the refiner takes over.",
    )
