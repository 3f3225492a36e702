"""Level 4, a face: the page and the HTTP API. Gradio and FastAPI; no torch in this process."""
