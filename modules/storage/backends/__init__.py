"""Plugins: where the database lives."""
