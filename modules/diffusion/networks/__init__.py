"""What network files hold: reading them without running code, the algebra of their deltas, weights that come back."""
