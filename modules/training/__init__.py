"""Pictures to weights: how a model is taught a subject, and how to tell what it has learned."""
