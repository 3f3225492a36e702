"""Level 0, words: what a request, an event, a plugin and an error are. Standard library and pluggy only."""
