"""An engine process: `python -m modules.engine_main`, spoken to over standard input and output. See `engine/worker.py`."""

import ctypes
import logging
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)

# torch's threads wait for each other hundreds of times per step. By default they do so spinning, which on a machine
# that does anything else (the web process, a browser) makes a step several times slower. libgomp reads this when torch
# is loaded. A user's own choice wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Models come from the files a user has; nothing is ever looked up at a hub.
os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

PLUGIN_PACKAGES = (
    "modules.diffusion.samplers",
    "modules.diffusion.schedules",
    "modules.diffusion.guidance",
    "modules.diffusion.adapters",
    "modules.imaging.upscalers",
    "modules.families.kinds",
    "modules.training.methods",
    "modules.engine.kinds",
)


def main() -> None:
    """Take over standard input and output for messages, load our plugins, serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the web process's to handle
    _die_with_parent()
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # whatever prints, extensions and C libraries included, goes to the log and not between the messages
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    # after the switch: imports may print
    from modules.core.plugins import Plugins
    from modules.engine.worker import serve

    plugins = Plugins("engine")
    for package in PLUGIN_PACKAGES:
        plugins.add_package(package)
    serve(reader, writer, plugins)
    sys.stderr.flush()
    os._exit(0)  # Python would take seconds to take torch apart, while whoever comes next waits for the memory


def _die_with_parent() -> None:
    """On Linux the kernel ends this process with the one that started it, even while it hangs in a library."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            os._exit(0)


if __name__ == "__main__":
    main()
