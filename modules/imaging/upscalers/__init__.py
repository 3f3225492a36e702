"""Plugins: one way to make a picture larger a file; the contract is on `core.extension_points.Upscaler`."""
