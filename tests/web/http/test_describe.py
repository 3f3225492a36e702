"""Words for a stored picture, as a job."""

import io

import pytest
from PIL import Image


@pytest.fixture
def picture(api):
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "PNG")
    return api.client.post("/api/v1/inputs", content=written.getvalue()).json()["id"]


def test_it_is_queued_as_a_job_of_its_kind(api, picture):
    answer = api.client.post("/api/v1/describe", json={"picture": picture})
    assert answer.status_code == 200
    job = api.studio.queue.job(answer.json()["job"])
    assert (job.kind, job.request.picture, job.request.interrogator, job.images) == ("interrogate", picture, "clip", 0)
    assert job.request.model, "the current model is filled in"


def test_another_way_can_be_asked_for(api, picture):
    answer = api.client.post("/api/v1/describe", json={"picture": picture, "interrogator": "caption"})
    assert api.studio.queue.job(answer.json()["job"]).request.interrogator == "caption"


@pytest.mark.parametrize(
    "body", [{}, {"picture": 3}, {"picture": ""}, {"picture": "0" * 64}, {"picture": "x" * 999}, []]
)
def test_what_cannot_be_described_is_refused(api, body):
    before = api.jobs()
    assert api.client.post("/api/v1/describe", json=body).status_code == 422
    assert api.jobs() == before
