"""Settings about training."""

from modules.core.extension_points import hookimpl
from modules.core.settings import Setting

SECTION = "Training"
WHILE_TRAINING = "while_training"
WAIT, BESIDE = "Wait", "Draw beside it"


@hookimpl
def register_settings() -> list[Setting]:
    """What drawing does while a model is trained."""
    return [
        Setting(
            name=WHILE_TRAINING,
            default=WAIT,
            label="Drawing while a model is trained",
            section=SECTION,
            options=(WAIT, BESIDE),
            help="Wait: a training begins when it is its turn and gets the whole device; the drawing models are unloaded "
            "first, and pictures are drawn after it, before the next training. Pause the training to draw in between. "
            "Draw beside it: both at once, each slower; needs memory for both.",
        ),
    ]
