"""A server that trains with the stand-in until somebody kills it. Arguments: the data directory.

Prints `job <id>` when the training is accepted, then `trainer <pid>` when it runs.
"""

import sys
import time
from pathlib import Path

from services.small_things import web_plugins
from services.training_things import TINY_TRAINER, plan_for, trainer

from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.services.build import open_studio


def main(data: Path) -> None:
    flags = parse_flags(["--data-dir", str(data), "--use-cpu", "all"], {})
    with open_studio(flags, Places.of(flags), web_plugins(), engine_command=TINY_TRAINER) as studio:
        runs = studio.trainings.every()
        run = runs[0] if runs else studio.trainings.begin(plan_for(studio, max_train_steps=60))
        sys.stdout.write(f"job {run.id}\n")
        while trainer(studio).state != "busy" or not run.folder.last():
            time.sleep(0.005)
        sys.stdout.write(f"trainer {trainer(studio).pid}\n")
        sys.stdout.flush()
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
