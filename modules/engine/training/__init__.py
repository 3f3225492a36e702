"""A training in an engine: from a plan to files on the shelves, with everything worth knowing in the run's folder."""
