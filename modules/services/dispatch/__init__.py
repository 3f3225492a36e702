"""Plugins: who hands the queue's jobs to engines."""
