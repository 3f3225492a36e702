"""Atelier's own code. `README.md` beside this file is the map.

Scripts of the field import names such as `modules.prompt_parser`; they lie in a folder of their own, which no package
name can reach, so that none of ours imports them.
"""

from pathlib import Path

__path__.append(str(Path(__file__).parent / "compat" / "a1111-names"))
