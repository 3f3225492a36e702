"""Tabs of the page, one file each; every module here is a plugin with `register_tabs`."""
