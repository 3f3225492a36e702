"""Plugins: one kind of network file each; the contract is on `core.extension_points.Adapter`."""
