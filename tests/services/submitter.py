"""A server that takes some jobs as fast as it can and says each one's id when it is accepted; somebody will kill it.

Arguments: the data directory. Prints `engine <pid>` once, then `job <id>` per job.
"""

import sys
import time
from pathlib import Path

from services.small_things import TINY_ENGINE, web_plugins

from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.core.requests import ImageRequest
from modules.services.build import open_studio

MOST_JOBS = 6


def main(data: Path) -> None:
    flags = parse_flags(["--data-dir", str(data), "--use-cpu", "all"], {})
    with open_studio(flags, Places.of(flags), web_plugins(), engine_command=TINY_ENGINE) as studio:
        while not studio.engines.states()[0].pid:
            time.sleep(0.001)
        sys.stdout.write(f"engine {studio.engines.states()[0].pid}\n")
        for _ in range(MOST_JOBS):
            job = studio.desk.submit(ImageRequest(sampler="Euler", seed=1, steps=3, width=64, height=64))
            sys.stdout.write(f"job {job.id}\n")
            sys.stdout.flush()
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
