"""Settings about randomness."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Sampler parameters"


@hookimpl
def register_settings() -> list[Setting]:
    """Only the CPU's random numbers are the same on every machine, so they are the default and so far the only source."""
    return [
        Setting(
            name="randn_source",
            default="CPU",
            label="Random number generator source",
            section=SECTION,
            options=("CPU",),
            help="Where the starting noise is drawn.",
        ),
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
