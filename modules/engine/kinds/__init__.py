"""Plugin package: one module for each kind of job."""
