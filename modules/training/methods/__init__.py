"""Ways to teach a model, one file each."""
