"""Plugins: one way of guidance a file; the contract is on `core.extension_points.Guidance`."""
