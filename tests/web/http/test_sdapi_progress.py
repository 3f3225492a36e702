"""Where a job is, as the field counts it: passes, and steps in them."""

from types import SimpleNamespace

import pytest

from modules.core.requests import EditRequest, ImageRequest, UpscaleRequest
from modules.services.watch import Live
from modules.web.http.routes.sdapi_progress import Place, place_of


def live(request, batch: int, step: int, steps: int) -> Live:
    count = getattr(request, "batch_count", 1)
    return Live(job=SimpleNamespace(request=request), step=step, steps=steps, fraction=(batch + step / steps) / count)


PLAIN = ImageRequest(batch_count=3, steps=20)
TWICE = ImageRequest(batch_count=2, steps=20, enable_hr=True, hr_steps=8)


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("step", [0, 1, 10, 19, 20])
def test_each_batch_is_a_pass(batch, step):
    assert place_of(live(PLAIN, batch, step, 20)) == Place(3, batch, step, 20)


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize(
    ("step", "part", "within", "of"), [(0, 0, 0, 20), (19, 0, 19, 20), (20, 0, 20, 20), (21, 1, 1, 8), (28, 1, 8, 8)]
)
def test_a_second_pass_counts_as_one_more(batch, step, part, within, of):
    assert place_of(live(TWICE, batch, step, 28)) == Place(4, 2 * batch + part, within, of)


def test_what_has_no_second_pass():
    edit = EditRequest(init_images=("x",), enable_hr=True, steps=20)
    assert place_of(live(edit, 0, 5, 15)) == Place(1, 0, 5, 15)
    assert place_of(live(UpscaleRequest(pictures=("x",)), 0, 1, 4)) == Place(1, 0, 1, 4)


def test_before_the_first_step():
    assert place_of(Live(job=SimpleNamespace(request=PLAIN))) == Place(3, 0, 0, 0)
    assert place_of(Live(job=SimpleNamespace(request=TWICE))) == Place(4, 0, 0, 0)
