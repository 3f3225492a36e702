"""The HTTP face: who may come in (`guard.py`, `login.py`), the routes (`routes/`), the field's API (`sdapi.py`)."""
