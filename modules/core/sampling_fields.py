"""The fields of a request for pictures that decide about the numbers: sampling, guidance, randomness."""

from dataclasses import dataclass

from modules.core.fields import shown

HIGHEST_SEED = 2**63 - 1


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
