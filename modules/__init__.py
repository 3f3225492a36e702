"""Atelier's own code. `README.md` beside this file is the map."""
