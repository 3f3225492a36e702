"""Level 1, pixels: pictures read and written, the text inside them, grids."""
