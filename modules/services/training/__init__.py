"""Everything about trainings that the web process does: the form, the checks before a start, runs and comparisons."""
