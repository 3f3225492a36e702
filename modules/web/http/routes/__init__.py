"""HTTP routes. Each module is a plugin with `register_routes`; those marked `api` are served with --api or --nowebui."""
