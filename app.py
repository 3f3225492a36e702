"""Start Atelier: parse the flags, build the studio, serve. `./webui.sh` calls this inside its environment."""

import sys
from collections.abc import Sequence

from modules.core.errors import AtelierError
from modules.core.flags import parse_flags

REFUSED = 2


def main(arguments: Sequence[str]) -> int:
    """Serve until asked to stop. Returns the exit status: 0, or 2 when the start was refused with a sentence."""
    try:
        flags = parse_flags(arguments)
        from modules.bootstrap import serve

        return serve(flags)
    except AtelierError as refusal:
        sys.stderr.write(f"Atelier did not start: {refusal}\n")
        return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
