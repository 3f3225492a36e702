"""Plugins: one schedule a file; the contract is on `core.extension_points.Schedule`."""
