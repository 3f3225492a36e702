"""Comparisons: arms × seeds as ordinary jobs, and the table that their folders make, finished or not."""

import csv
import io
import json
from dataclasses import replace
from statistics import mean, stdev

import pytest
from services.small_things import TINY_ENGINE, eventually, web_plugins, write_checkpoint
from services.training_things import plan_for

from modules.core.errors import InvalidRequest, NotFound, QueueFull
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.core.training import TrainingPlan
from modules.services.build import open_studio
from modules.services.training import comparisons as comparisons_module
from modules.services.training.comparison_presets import COMPARISONS, METHODS, NOUNS, Arm, plan_of_arm
from modules.services.training.comparison_tables import Found, as_csv, as_markdown, brief, rows_of
from modules.services.training.comparisons import Comparisons, comparison_of


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Its engines are stopped: what is queued stays where it is."""
    folder = tmp_path_factory.mktemp("comparing")
    flags = parse_flags(["--data-dir", str(folder), "--use-cpu", "all"], {})
    places = Places.of(flags)
    write_checkpoint(places.models / "Stable-diffusion" / "tiny.safetensors", {"modelspec.resolution": "64x64"}, 200)
    with open_studio(flags, places, web_plugins(), engine_command=TINY_ENGINE) as opened:
        eventually(lambda: opened.catalogue.now().samplers)
        opened.engines.stop()
        yield opened


@pytest.fixture
def comparisons(studio):
    return Comparisons(studio.desk, studio.queue, studio.places)


@pytest.fixture
def begun(studio, comparisons):
    """The three methods with two seeds, of Ann; taken out of the queue afterwards."""
    group = comparisons.begin("subject2subject", plan_for(studio, preview_every=5), "ann", seeds=(1, 2))
    yield group
    comparisons.cancel(group.group, "ann")


def measured(studio, run: str, step=30, **values):
    """What the trainer writes for a run that has been measured."""
    folder = studio.places.training / run
    folder.mkdir(parents=True, exist_ok=True)
    labels = {"fid": "FID (N=40)", "identity": "Identity", "drift": "Drift"}
    measures = [
        {
            "name": name,
            "label": labels.get(name, name),
            "value": value,
            "better": "low" if name != "identity" else "high",
        }
        | {"floor": 0.1, "ceiling": 0.9, "group": "subject", "note": "a note"}
        for name, value in values.items()
    ]
    shot = {
        "prompt": "a sks cat",
        "caption": "a cat",
        "pictures": [f"evaluation/{run}.png"],
        "base": ["evaluation/b.png"],
    }
    evaluation = {"measures": measures, "caveats": ["Few pictures."], "prompts": [shot]}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    line = {"step": step, "seconds": 12.5}
    (folder / "log.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "status.json").write_text(json.dumps({"step": step, "steps": step, "files": [{"bytes": 3_000_000}]}))


def row(group, name):
    return next(one for one in group.rows if one.name == name)


# Beginning --------------------------------------------------------------------------------------------------------------


def test_every_arm_is_queued_with_every_seed(studio, begun):
    jobs = [studio.queue.job(one.run, "ann") for one in begun.members]
    plans = [job.request for job in jobs]
    assert [(one.arm, one.seed) for one in plans] == [(arm, seed) for seed in (1, 2) for arm in ("ti", "full", "lora")]
    assert all(job.kind == "train" for job in jobs)
    assert {one.evaluate for one in plans} == {"subject2subject"}
    assert {one.group for one in plans} == {begun.group}
    assert {one.pictures for one in plans} == {begun.plan.pictures}
    assert len({one.name for one in plans}) == 6
    assert begun.state == "waiting"
    assert begun.rows == ()


def test_on_other_models_the_papers_values_hold(studio, begun):
    by_arm = {one.arm: studio.queue.job(one.run).request for one in begun.members}
    assert by_arm["full"].learning_rate == 5e-6
    assert by_arm["full"].max_train_steps == 800
    assert by_arm["full"].with_prior_preservation
    assert by_arm["full"].instance_prompt == "a photo of <sks-cat>"
    assert (by_arm["lora"].learning_rate, by_arm["lora"].rank) == (1e-4, 4)
    assert not by_arm["lora"].with_prior_preservation
    assert (by_arm["ti"].learning_rate, by_arm["ti"].max_train_steps) == (5e-4, 2000)
    assert by_arm["ti"].instance_prompt == f"a photo of {by_arm['ti'].name}"
    assert {one.preview_every for one in by_arm.values()} == {5}


def test_the_starter_has_values_of_its_own():
    plan = TrainingPlan(model="starter.safetensors [abc]", class_noun="cat", instance_prompt="a photo of sks cat")
    found = {one.arm: plan_of_arm(METHODS, one, plan, 1, "g") for one in METHODS.arms}
    assert found["lora"].learning_rate > 1e-4
    assert {one.method for one in found.values()} == {"textual_inversion", "dreambooth", "lora"}
    assert found["lora"].instance_prompt == "a photo of [identifier] [class noun]"
    assert found["ti"].instance_prompt == "a photo of [identifier]"


def test_nouns_none_wrong_and_right(studio, comparisons):
    plan = plan_for(
        studio, instance_prompt="a photo of sks cat", with_prior_preservation=True, captions=("", "sks cat", "")
    )
    group = comparisons.begin("class noun", plan, seeds=(5,))
    plans = {one.arm: studio.queue.job(one.run).request for one in group.members}
    assert {arm: one.class_noun for arm, one in plans.items()} == {"none": "", "wrong": "clock", "right": "cat"}
    assert plans["none"].instance_prompt == "a photo of sks"
    assert plans["wrong"].instance_prompt == "a photo of sks clock"
    assert plans["wrong"].captions == ("", "sks clock", "")
    assert plans["none"].class_prompt == "a photo of cat"
    assert plans["wrong"].class_prompt == "a photo of clock"
    assert {one.seed for one in plans.values()} == {5}
    comparisons.cancel(group.group)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda one: one.name)
def test_on_the_starter_every_arm_has_tuned_values(comparison):
    """And arms of an ablation differ in nothing but what is looked at."""
    plan = TrainingPlan(model="starter", class_noun="cat", captions=("a photo of sks cat asleep",), rank=99, seed=9)
    plans = [plan_of_arm(comparison, one, plan, 4, "g") for one in comparison.arms]
    for one in plans:
        assert one.learning_rate >= 1e-4
        assert one.max_train_steps in (300, 400, 600)
        assert (one.seed, one.train_batch_size, one.evaluate) == (4, 2, comparison.pack)
        assert one.captions[0].startswith("a photo of [identifier]")
    if comparison is not METHODS:
        differs = {"class_noun": "", "class_prompt": "", "with_prior_preservation": True, "name": "", "arm": ""}
        assert len({replace(one, **differs) for one in plans}) == 1
        assert len({(one.class_noun, one.with_prior_preservation) for one in plans}) == len(plans)


def test_the_wrong_noun_is_never_the_right_one():
    wrong = next(one for one in NOUNS.arms if one.arm == "wrong")
    for model, noun in (("x", "clock"), ("starter", "car"), ("starter", "cat"), ("x", "cat")):
        plan = plan_of_arm(NOUNS, wrong, TrainingPlan(model=model, class_noun=noun), 1, "g")
        assert plan.class_noun not in ("", noun, "[another]")


def test_prior_preservation_on_and_off(studio, comparisons):
    group = comparisons.begin("prior", plan_for(studio, method="dreambooth"), seeds=(1,))
    plans = [studio.queue.job(one.run).request for one in group.members]
    assert [one.with_prior_preservation for one in plans] == [False, True]
    differs = {"with_prior_preservation": True, "class_prompt": "", "num_class_images": 1, "name": "", "arm": ""}
    assert replace(plans[0], **differs) == replace(plans[1], **differs)
    comparisons.cancel(group.group)


def test_own_arms(studio, comparisons):
    arms = [Arm(arm="r4", label="Rank 4", changes={"rank": 4}), Arm(arm="r32", label="Rank 32", changes={"rank": 32})]
    plan = plan_for(studio, evaluate="quick")
    group = comparisons.begin("prior", plan, seeds=(1,), arms=arms, pack="full")
    assert [studio.queue.job(one.run).request.rank for one in group.members] == [4, 32]
    assert {studio.queue.job(one.run).request.evaluate for one in group.members} == {group.pack} == {"full"}
    assert (group.label, group.note) == ("Rank 4 / Rank 32", "")
    assert group.labels == {"r4": "Rank 4", "r32": "Rank 32"}
    comparisons.cancel(group.group)


@pytest.mark.parametrize("name", [one.name for one in COMPARISONS])
def test_each_comparison_says_what_it_is(name):
    found = comparison_of(name.upper())
    assert found.note.endswith(("?", "."))
    assert len({one.label for one in found.arms}) == len(found.arms) >= 2


@pytest.mark.parametrize(
    ("known", "field", "sentence"),
    [
        ({"name": "subject2subjec"}, "preset", "did you mean 'subject2subject'"),
        ({"pack": "quik"}, "pack", "there are quick, full, subject2subject"),
        ({"seeds": ()}, "seeds", "1 to 10 seeds"),
        ({"seeds": (1, 1)}, "seeds", "each of its own"),
        ({"seeds": (-1,)}, "seeds", "not below 0"),
        ({"arms": [Arm(arm="a", label="A")]}, "arms", "2 to 12 arms"),
        ({"arms": [Arm(arm="a", label="A")] * 2}, "arms", "a name of its own"),
    ],
)
def test_what_cannot_be_compared(studio, comparisons, known, field, sentence):
    asked = {"name": "prior"} | known
    with pytest.raises(InvalidRequest, match=sentence) as found:
        comparisons.begin(asked.pop("name"), plan_for(studio), **asked)
    assert found.value.problems[0].field == field


def test_when_one_arm_is_refused_nothing_stays(studio, comparisons, monkeypatch):
    submit, calls = studio.desk.queue.submit, []

    def full(*args, **known):
        calls.append(known["id"])
        if len(calls) == 3:
            raise QueueFull("Too many jobs.")
        return submit(*args, **known)

    monkeypatch.setattr(studio.desk.queue, "submit", full)
    before = len(comparisons.every())
    with pytest.raises(QueueFull):
        comparisons.begin("subject2subject", plan_for(studio))
    assert [studio.queue.job(id).state for id in calls[:2]] == ["cancelled", "cancelled"]
    assert len(comparisons.every()) == before


# Looking ----------------------------------------------------------------------------------------------------------------


def test_the_table_grows_while_runs_go_on(studio, comparisons, begun):
    runs = {(one.arm, one.seed): one.run for one in begun.members}
    measured(studio, runs["lora", 1], identity=0.8, fid=10.0)
    half = comparisons.one(begun.group, "ann")
    assert half.state == "running"
    lora, full = row(half, "identity").cells[2], row(half, "identity").cells[1]
    assert (lora.value, lora.sd, lora.text, full.text) == (0.8, None, "0.800", "–")
    measured(studio, runs["lora", 2], identity=0.9, fid=14.0)
    measured(studio, runs["full", 1], identity=0.7, fid=12.0)
    found = comparisons.one(begun.group, "ann")
    lora = row(found, "identity").cells[2]
    assert lora.value == pytest.approx(mean([0.8, 0.9]))
    assert lora.sd == pytest.approx(stdev([0.8, 0.9]))
    assert lora.seeds == ((1, 0.8), (2, 0.9))
    assert lora.best
    assert not any(one.best for one in row(found, "fid").cells), "their seeds overlap: nobody has won"
    (shown,) = found.grid
    assert shown.prompt == "a cat"
    assert shown.pictures["lora"] == (runs["lora", 1], f"evaluation/{runs['lora', 1]}.png"), "of the first seed"
    assert shown.base == (runs["full", 1], "evaluation/b.png")
    assert set(shown.pictures) == {"lora", "full"}
    assert row(found, "seconds").cells[2].value == 12.5
    assert row(found, "megabytes").cells[2].value == 3.0
    assert "Few pictures." in found.notes
    assert any("softmax" in note for note in found.notes)


def test_a_failed_arm_is_shown_with_its_sentence(studio, comparisons, begun):
    studio.queue.claim("engine")
    running = next(one for one in begun.members if studio.queue.job(one.run).state == "running")
    folder = studio.places.training / running.run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps({"state": "training", "step": 10, "steps": 40}))
    found = comparisons.one(begun.group)
    member = next(one for one in found.members if one.run == running.run)
    assert (member.state, member.fraction) == ("training", 0.25)
    studio.queue.fail(running.run, "There is not enough memory.")
    for one in begun.members:
        if one.run != running.run:
            measured(studio, one.run, identity=0.5)
    found = comparisons.one(begun.group)
    member = next(one for one in found.members if one.run == running.run)
    assert (member.state, member.sentence) == ("failed", "There is not enough memory.")
    assert found.state == "partly"
    assert len(row(found, "identity").cells[0].seeds) == 1


def test_all_done(studio, comparisons, begun):
    for one in begun.members:
        measured(studio, one.run, drift=0.2)
    assert comparisons.one(begun.group).state == "done"


def test_a_run_that_ended_unmeasured_says_so(studio, comparisons, begun):
    job = studio.queue.claim("engine")
    studio.queue.finish(job.id, note="No CLIP is here.")
    member = next(one for one in comparisons.one(begun.group).members if one.run == job.id)
    assert (member.state, member.sentence, member.over) == ("unmeasured", "No CLIP is here.", True)


def test_it_survives_a_restart(studio, begun):
    again = Comparisons(studio.desk, studio.queue, studio.places)
    assert again.one(begun.group, "ann") == begun
    assert begun.group in [one.group for one in again.every("ann")]


def test_others_comparisons_are_not_there(comparisons, begun):
    for group, owner in ((begun.group, "bob"), ("0" * 12, "ann"), ("../" + begun.group, "ann"), ("", None)):
        with pytest.raises(NotFound):
            comparisons.one(group, owner)
    assert begun.group not in [one.group for one in comparisons.every("bob")]
    with pytest.raises(NotFound):
        comparisons.cancel(begun.group, "bob")


def test_cancelled_and_forgotten(studio, comparisons, begun):
    found = comparisons.cancel(begun.group, "ann")
    assert {one.state for one in found.members} == {"cancelled"}
    assert found.state == "partly"
    comparisons.forget(begun.group, "ann")
    with pytest.raises(NotFound):
        comparisons.one(begun.group)
    # The fixture's own cancel must find it again.
    path = studio.places.training / comparisons_module.FOLDER / f"{begun.group}.json"
    kept = {"group": begun.group, "preset": "prior", "label": "", "created": 0, "pack": "quick", "owner": "ann"}
    path.write_text(json.dumps(kept | {"plan": {"is": "TrainingPlan"}, "arms": [], "seeds": [], "runs": []}))


def test_a_damaged_group_is_not_there(studio, comparisons):
    path = studio.places.training / comparisons_module.FOLDER / "abcdef012345.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    with pytest.raises(NotFound):
        comparisons.one("abcdef012345")
    assert "abcdef012345" not in [one.group for one in comparisons.every()]
    path.unlink()


# The table --------------------------------------------------------------------------------------------------------------


def found_of(arm, seed, **values):
    measures = [
        {"name": name, "label": name.upper(), "value": value, "better": "high"} for name, value in values.items()
    ]
    return Found(arm=arm, seed=seed, evaluation={"measures": measures}, others={"seconds": 1.0})


ROWS = rows_of(
    [found_of("a", 1, score=1.0, odd=None), found_of("a", 2, score=3.0), found_of("=b", 1, score=0.5)], ["a", "=b"]
)


def test_means_and_deviations():
    score = ROWS[0]
    assert (score.cells[0].value, score.cells[0].sd) == (2.0, pytest.approx(2**0.5))
    assert (score.cells[1].value, score.cells[1].sd) == (0.5, None)
    assert score.cells[0].best
    assert [one.name for one in ROWS] == ["score", "odd", "seconds"]
    assert ROWS[1].cells[0].text == "–"


def test_csv_is_read_back():
    text = as_csv(ROWS, {"a": "Arm, a", "=b": '=cmd|" /C calc"!A0'}, [1, 2])
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == 6
    first = lines[0]
    assert (first["measure"], first["method"], float(first["mean"])) == ("score", "Arm, a", 2.0)
    assert (float(first["seed 1"]), float(first["seed 2"])) == (1.0, 3.0)
    assert lines[1]["seed 2"] == ""
    assert lines[1]["method"].startswith("'="), "a spreadsheet must not run it"


def test_markdown_is_a_table():
    text = as_markdown("A|B", ROWS, {"a": "first|column", "=b": "second"}, ["One\ncaveat."])
    lines = text.splitlines()
    assert lines[0] == "## A\\|B"
    assert lines[2] == "| | first\\|column | second | floor | ceiling |"
    assert lines[4] == "| SCORE ↑ | **2.000 ± 1.414** | 0.500 | – | – |"
    assert lines[-1] == "- One caveat."
    assert {one.replace("\\|", "").count("|") for one in lines if one.startswith("|")} == {6}


def test_broken_evaluations_are_no_figures():
    odd = Found(arm="a", seed=1, evaluation={"measures": [3, {"value": 1}, {"name": "x", "value": "text"}]}, others={})
    assert [one.cells[0].value for one in rows_of([odd], ["a"])] == [None]
    assert rows_of([Found(arm="a", seed=1, evaluation={"measures": "none"}, others={})], ["a"]) == []
    assert brief(float(0)) == "0.000"
