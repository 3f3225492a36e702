"""Plugins: the settings, one file per section."""
