"""Level 4: what scripts and extensions of the field expect, by the names they use. Ours never import those names."""
