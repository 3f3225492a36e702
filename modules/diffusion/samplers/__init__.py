"""Plugins: one sampler a file; the contract is on `core.extension_points.Sampler`."""
