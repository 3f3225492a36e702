"""Names that clients give their jobs."""

from modules.web.http.tasks import Tasks


def test_a_name_means_the_newest_job_of_its_owner():
    tasks = Tasks()
    tasks.name("ann", "one", "job 1")
    tasks.name("bob", "one", "job 2")
    tasks.name("ann", "one", "job 3")
    assert (tasks.job("ann", "one"), tasks.job("bob", "one"), tasks.job("carl", "one")) == ("job 3", "job 2", "one")
    assert [tasks.task(f"job {number}") for number in (1, 2, 3)] == ["job 1", "one", "one"]


def test_old_names_are_forgotten():
    tasks = Tasks(most=2)
    for number in range(3):
        tasks.name("", f"task {number}", f"job {number}")
    assert [tasks.job("", f"task {number}") for number in range(3)] == ["task 0", "job 1", "job 2"]
    assert [tasks.task(f"job {number}") for number in range(3)] == ["job 0", "task 1", "task 2"]
