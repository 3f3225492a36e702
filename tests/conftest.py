"""For every test: no look-ups at a model hub, no analytics; one browser for all that need one, and those come last."""

import os

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # a worker per core: threads that wait for each other made them three times slower
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, so that a commit is green or not; ATELIER_FUZZ=1 looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("searching", print_blob=True)
settings.load_profile("searching" if os.environ.get("ATELIER_FUZZ") else "repeatable")

CHROMIUM = os.environ.get("ATELIER_CHROMIUM", "/usr/bin/chromium")
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def pytest_collection_modifyitems(items):
    """Playwright keeps an event loop running in the main thread; tests with a loop of their own go before."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield opened
        opened.close()
