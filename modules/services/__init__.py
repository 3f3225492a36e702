"""Level 3: what the web process does. One file per verb; what a service needs comes in by constructor. No torch."""
