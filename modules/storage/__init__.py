"""Level 2: what is remembered. The only package that knows SQLAlchemy."""
