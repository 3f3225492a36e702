"""Level 3, runs in an engine process: jobs in, events out."""
