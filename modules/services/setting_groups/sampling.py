"""Settings about randomness and about how samplers take their steps. Defaults are those of `ImageRequest`."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Sampler parameters"


@hookimpl
def register_settings() -> list[Setting]:
    """Randomness, noise levels, eta, churn."""
    return [*_randomness(), *_eta(), *_churn(), *_levels(), *_curves()]


def _randomness() -> list[Setting]:
    return [
        Setting(
            name="randn_source",
            default="CPU",
            label="Random number generator source",
            section=SECTION,
            options=("CPU", "NV", "GPU"),
            help="CPU and NV draw the same noise on every machine, NV that of an NVIDIA card; GPU depends on the card.",
        ),
        Setting(
            name="eta_noise_seed_delta",
            default=0,
            label="Eta noise seed delta",
            section=SECTION,
            minimum=-(2**31),
            maximum=2**31,
            help="Added to the seed after the starting noise; for pictures of others that used it (31337).",
        ),
        Setting(
            name="sgm_noise_multiplier",
            default=False,
            label="SGM noise multiplier",
            section=SECTION,
            help="Scale the starting noise as SDXL's own code does.",
        ),
    ]


def _eta() -> list[Setting]:
    return [
        Setting(
            name="eta_ancestral",
            default=1.0,
            label="Eta for ancestral samplers",
            section=SECTION,
            minimum=0,
            maximum=1,
            help="How much fresh noise each step brings; 0 makes them deterministic.",
        ),
        Setting(
            name="eta_ddim",
            default=0.0,
            label="Eta for DDIM",
            section=SECTION,
            minimum=0,
            maximum=1,
            help="How much fresh noise each step brings.",
        ),
    ]


def _churn() -> list[Setting]:
    """Karras et al. 2022, algorithm 2."""
    known = {
        "s_churn": (0.0, 100, "Sigma churn", "Noise added back at each step, for Euler, Heun and DPM2."),
        "s_tmin": (0.0, 100, "Sigma tmin", "Churn only above this noise level."),
        "s_tmax": (0.0, 1000, "Sigma tmax", "Churn only below this noise level; 0 is no limit."),
        "s_noise": (1.0, 2, "Sigma noise", "Strength of the noise that stochastic samplers add."),
    }
    return [
        Setting(name=name, default=default, label=label, section=SECTION, minimum=0, maximum=most, help=words)
        for name, (default, most, label, words) in known.items()
    ]


def _levels() -> list[Setting]:
    known = {
        "sigma_min": (1000, "Schedule min sigma", "Where the schedule ends; 0 is the model's own."),
        "sigma_max": (1000, "Schedule max sigma", "Where the schedule begins; 0 is the model's own."),
        "rho": (100, "Schedule rho", "Curve of Karras and Polyexponential; 0 is the schedule's own."),
    }
    numbers = [
        Setting(name=name, default=0.0, label=label, section=SECTION, minimum=0, maximum=most, help=words)
        for name, (most, label, words) in known.items()
    ]
    return [
        *numbers,
        Setting(
            name="always_discard_next_to_last_sigma",
            default=False,
            label="Always discard next-to-last sigma",
            section=SECTION,
            help="Leave out the last small step; some samplers do it anyway.",
        ),
        Setting(
            name="sd_noise_schedule",
            default="Default",
            label="Noise schedule for sampling",
            section=SECTION,
            options=("Default", "Zero Terminal SNR"),
            help="Zero Terminal SNR is for models that were trained with it.",
        ),
    ]


def _curves() -> list[Setting]:
    return [
        Setting(
            name="beta_dist_alpha",
            default=0.6,
            label="Beta schedule alpha",
            section=SECTION,
            minimum=0.01,
            maximum=5,
            help="First parameter of the Beta schedule.",
        ),
        Setting(
            name="beta_dist_beta",
            default=0.6,
            label="Beta schedule beta",
            section=SECTION,
            minimum=0.01,
            maximum=5,
            help="Second parameter of the Beta schedule.",
        ),
        Setting(
            name="uni_pc_order",
            default=3,
            label="UniPC order",
            section=SECTION,
            minimum=1,
            maximum=4,
            help="Order of the UniPC sampler; it never exceeds the number of steps.",
        ),
    ]
