"""Plugin package: one module for each kind of model."""
