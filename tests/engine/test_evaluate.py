"""An evaluation from request to `evaluation.json`: a tiny model draws, a tiny CLIP looks; the starter's own instruments
are held against pictures whose contents are known."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modules.core import events
from modules.core.errors import Cancelled, InvalidModelFile, InvalidRequest, NotFound
from modules.core.flags import ROOT
from modules.core.tensorfile import read_header
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.core.wire import to_json
from modules.engine import evaluate, instruments
from modules.engine.albums import pixels
from modules.engine.models import Loaded
from modules.families.clip_folder import load_clip_folder, prepared
from modules.prompts.infotext import parse_infotext
from modules.starter.words import FIRST
from modules.starter.world import Spec, draw
from modules.training.inception import Inception, inception_file, load_inception
from tests.engine.engine_process import record_of
from tests.engine.in_this_process import context_of

STARTER = ROOT / "models" / "Stable-diffusion" / "starter.safetensors"
QUERY = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
RUN = "0" * 12
PLAN = TrainingPlan(
    method="lora", model="small", name="my-cat", class_noun="cat", identifier="sks", resolution=64, preview_steps=1
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """models/CLIP as transformers writes it: a real CLIP, tiny, that has learnt nothing."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("clip") / "CLIP"
    body = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**body, "vocab_size": 49408, "eos_token_id": 49407, "max_position_embeddings": 77},
        vision_config={**body, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    for one in (ROOT / "modules" / "families" / "assets" / "clip_tokenizer").glob("*.json"):
        shutil.copy(one, folder)
    return folder


towers_of = cache(load_clip_folder)


@pytest.fixture(autouse=True)
def one_clip(monkeypatch, clip):
    """Its tokenizer takes longer to read than all pictures to draw."""
    monkeypatch.setattr(instruments, "load_clip_folder", lambda folder: towers_of(clip))


@pytest.fixture(scope="module")
def models(small_file):
    return context_of(events.RunJob(job="m", kind="evaluate", request=EvaluationRequest(run=RUN)))[0].models


@pytest.fixture
def place(tmp_path, clip):
    """A data folder with a run in it, whose result is a LoRA that changes one layer a lot."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "CLIP").symlink_to(clip)
    folder = tmp_path / "training" / RUN
    (folder / "pictures").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (64, 64 + 8 * number), (80 * number, 90, 160)).save(folder / "pictures" / f"{number:03d}.png")
    lora = tmp_path / "models" / "Lora" / "my-cat.safetensors"
    lora.parent.mkdir()
    tensors = {
        "lora_down.weight": torch.ones(2, 32),
        "lora_up.weight": torch.ones(32, 2) * 3,
        "alpha": torch.tensor(2.0),
    }
    save_file({f"lora_unet_{QUERY}.{name}": value for name, value in tensors.items()}, lora)
    (folder / "snapshots" / "000010").mkdir(parents=True)
    shutil.copy(lora, folder / "snapshots" / "000010")
    written(folder, PLAN, [{"kind": "lora", "path": str(lora)}])
    return tmp_path


def written(folder, plan, files, step=20):
    (folder / "plan.json").write_text(json.dumps(to_json(plan)))
    (folder / "status.json").write_text(json.dumps({"step": step, "files": files}))


def evaluated(place, small_file, models, prepare=lambda context, heard: None, **known):
    """`evaluation.json`, the context, and everything that was sent."""
    request = EvaluationRequest(**({"run": RUN, "pictures": 2} | known)).checked()
    job = events.RunJob(job="job", kind="evaluate", request=request, models=(record_of(Path(small_file)),))
    context, heard = context_of(job, models)
    context = replace(context, training=place / "training", checkpoints=place / "models" / "Stable-diffusion")
    prepare(context, heard)
    evaluate.run(request, context)
    return json.loads((place / "training" / RUN / "evaluation.json").read_text()), context, heard


def by_name(found):
    return {one["name"]: one for one in found["measures"]}


# From request to file ----------------------------------------------------------------------------------------------------


def test_a_lora_is_measured_beside_its_base(place, small_file, models, monkeypatch):
    found, context, heard = evaluated(place, small_file, models)
    assert (found["snapshot"], found["file"], found["model"], found["n"]) == (20, "my-cat.safetensors", "small", 10)
    assert "CLIP in models/CLIP" in found["extractor"]
    assert not context.notes
    folder = place / "training" / RUN
    assert [one["role"] for one in found["prompts"]] == ["subject", "context", "context", "context", "class"]
    for one in found["prompts"]:
        assert len(one["pictures"]) == len(one["base"]) == 2
        after, before = (pixels([folder / name for name in one[part]], 64) for part in ("pictures", "base"))
        assert not torch.equal(after, before), "the LoRA changes nothing"
        assert isinstance(one["scores"]["clip"], float)
    with Image.open(folder / found["prompts"][1]["pictures"][1]) as picture:
        text = parse_infotext(picture.info["parameters"])
    assert "<lora:my-cat:1> a sks cat in the snow" in picture.info["parameters"]
    assert text
    assert {"clip_score", "clip_i", "drift", "diversity", "wrong_context", "nearest", "fid"} <= by_name(found).keys()
    assert "N=8" in by_name(found)["fid"]["label"]
    assert any("No probe" in one for one in found["caveats"])
    steps = [one for one in heard.heard() if isinstance(one, events.Progress)]
    assert (steps[-2].step, steps[-2].steps) == (20, 20)
    assert (folder / "evaluation" / "000020-quick.json").exists()
    # What was drawn is not drawn again, and gives the same figures.
    monkeypatch.setattr("modules.engine.albums.drawn", lambda *_, **__: pytest.fail("drawn again"))
    again, _, _ = evaluated(place, small_file, models)
    assert {**again, "made": 0} == {**found, "made": 0}


def test_cancelled_between_pictures_it_goes_on_where_it_was(place, small_file, models):
    def stop_after_three(context, heard):
        def on_message(message):
            if isinstance(message, events.Progress) and message.step >= 4:
                context.wishes.cancel.set()

        heard.on_message = on_message

    with pytest.raises(Cancelled):
        evaluated(place, small_file, models, stop_after_three)
    kept = list((place / "training" / "base-pictures").rglob("*.png"))
    assert 4 <= len(kept) < 10
    times = {one: one.stat().st_mtime_ns for one in kept}
    evaluated(place, small_file, models)
    assert all(one.stat().st_mtime_ns == time for one, time in times.items())


def test_a_snapshot_of_its_own(place, small_file, models):
    (place / "models" / "Lora" / "my-cat.safetensors").unlink()
    found, _, _ = evaluated(place, small_file, models, pictures=1)
    assert found["snapshot"] == 10, "the result was deleted; the last snapshot is still there"
    with pytest.raises(InvalidRequest, match="snapshots there are: 10"):
        evaluated(place, small_file, models, snapshot=15)


def test_an_embedding_is_called_by_its_file(place, small_file, models):
    path = place / "my-cat-2.safetensors"
    width = load_file(small_file)["cond_stage_model.transformer.text_model.final_layer_norm.weight"].shape[0]
    save_file({"emb_params": torch.randn(2, width, generator=torch.Generator().manual_seed(0))}, path)
    plan = replace(PLAN, method="textual_inversion")
    written(place / "training" / RUN, plan, [{"kind": "embedding", "path": str(path)}])
    found, context, _ = evaluated(place, small_file, models, pictures=1)
    assert found["prompts"][1]["prompt"] == "a my-cat in the snow"
    folder = place / "training" / RUN
    with Image.open(folder / found["prompts"][1]["pictures"][0]) as picture:
        assert "a my-cat-2 in the snow" in picture.info["parameters"]
    after, before = (pixels([folder / found["prompts"][1][part][0]], 64) for part in ("pictures", "base"))
    assert not torch.equal(after, before)
    assert not context.notes


def test_a_checkpoint_takes_the_models_place(place, small_file, models):
    path = place / "trained.safetensors"
    tensors = {name: value * (1.2 if "input_blocks" in name else 1) for name, value in load_file(small_file).items()}
    save_file(tensors, path, dict(read_header(Path(small_file)).metadata))
    written(place / "training" / RUN, replace(PLAN, method="dreambooth"), [{"kind": "checkpoint", "path": str(path)}])
    found, _, _ = evaluated(place, small_file, models, pictures=1)
    folder = place / "training" / RUN
    # The class prompt is the same text for both models.
    after, before = (pixels([folder / found["prompts"][-1][part][0]], 64) for part in ("pictures", "base"))
    assert not torch.equal(after, before)


def test_without_a_clip_the_pictures_are_kept_and_it_says_so(place, small_file, models):
    (place / "models" / "CLIP").unlink()
    found, context, _ = evaluated(place, small_file, models, pictures=1)
    assert found["measures"] == []
    assert len(found["prompts"]) == 5
    assert context.notes == [instruments.NO_CLIP]
    assert found["caveats"] == [instruments.NO_CLIP]


def test_what_is_not_there(place, small_file, models):
    with pytest.raises(NotFound, match="no training"):
        evaluated(place, small_file, models, run="f" * 12)
    with pytest.raises(InvalidRequest, match="name of no training"):
        evaluated(place, small_file, models, run="../../etc")
    (place / "training" / RUN / "status.json").unlink()
    shutil.rmtree(place / "training" / RUN / "snapshots")
    with pytest.raises(InvalidRequest, match="no result"):
        evaluated(place, small_file, models)


def test_in_a_comparison_of_nouns_the_right_one_counts(place, small_file, models):
    folder = place / "training"
    (folder / "comparisons").mkdir()
    (folder / "comparisons" / "abcdef012345.json").write_text(json.dumps({"plan": {"class_noun": "dog"}}))
    status = json.loads((folder / RUN / "status.json").read_text())
    written(folder / RUN, replace(PLAN, class_noun="", group="abcdef012345"), status["files"])
    found, _, _ = evaluated(place, small_file, models, pictures=1)
    assert (found["prompts"][1]["prompt"], found["prompts"][1]["caption"]) == ("a sks in the snow", "a dog in the snow")


def test_the_kind_is_registered(models):
    context, _ = context_of(events.RunJob(job="m", kind="evaluate", request=EvaluationRequest(run=RUN)), models)
    assert context.plugins.collect("register_job_kinds").find("evaluate").request is EvaluationRequest


# The starter's instruments -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starter(models) -> Loaded:
    return models.fresh(record_of(STARTER), half=False)


def drawn_of(specs):
    pictures = [torch.from_numpy(np.array(draw(spec, 40 + n, 128)[0])) for n, spec in enumerate(specs)]
    return torch.stack(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_clip_judge_and_words_of_the_starter(starter, models, tmp_path):
    context, _ = context_of(events.RunJob(job="m", kind="evaluate", request=EvaluationRequest(run=RUN)), models)
    context = replace(context, checkpoints=tmp_path / "Stable-diffusion")
    specs = [Spec(subject="cat", colour=c, place=p) for c, p in zip(FIRST.colours[:6], FIRST.places, strict=True)]
    images = drawn_of(specs)
    known = instruments.instruments_for(starter, images, context)
    assert known.extractor == "the starter's CLIP image tower"
    assert set(FIRST.places) <= set(known.words.places)
    assert set(FIRST.wear) <= set(known.words.wear)
    read = known.read(images)
    assert sum(word == spec.place for word, spec in zip(read["place"], specs, strict=True)) >= 5
    texts = known.text([f"a {spec.colour} cat {spec.place}" for spec in specs])
    cosines = known.image(images) @ texts.T
    assert (cosines.argmax(dim=1) == torch.arange(6)).sum() >= 4
    assert torch.allclose(texts.norm(dim=1), torch.ones(6), atol=1e-5)
    # Pictures of any size are brought to the instruments'.
    assert known.image(torch.nn.functional.interpolate(images, (64, 64))).shape == (6, texts.shape[1])
    assert known.identity is None, "these cats have no marks"


def test_a_broken_judge_or_probe_costs_itself(starter, models, tmp_path):
    context, _ = context_of(events.RunJob(job="m", kind="evaluate", request=EvaluationRequest(run=RUN)), models)
    context = replace(context, checkpoints=tmp_path / "Stable-diffusion")
    (tmp_path / "starter").mkdir()
    for name in (instruments.JUDGE, instruments.PROBE):
        save_file({"x": torch.zeros(1)}, tmp_path / "starter" / name)
    known = instruments.instruments_for(starter, torch.zeros(2, 3, 128, 128), context)
    assert (known.read, known.identity) == (None, None)
    assert len(context.notes) == 2


def test_the_probe_knows_the_subject_from_others(starter, models, tmp_path):
    context, _ = context_of(events.RunJob(job="m", kind="evaluate", request=EvaluationRequest(run=RUN)), models)
    context = replace(context, checkpoints=tmp_path / "Stable-diffusion")
    mine = pixels(sorted((ROOT / "models" / "starter" / "example").glob("*.png")), 128)
    known = instruments.instruments_for(starter, mine, context)
    assert known.identity is not None
    others = drawn_of([Spec(subject="cat", colour="orange", place=place) for place in FIRST.places[:4]])
    assert float(known.identity(mine).mean()) > 0.7
    assert float(known.identity(others).mean()) < 0.1


# CLIP and Inception that somebody brings ---------------------------------------------------------------------------------


def test_a_clip_folder(clip, tmp_path):
    towers = load_clip_folder(clip)
    images = torch.rand(3, 3, 40, 60) * 2 - 1
    assert towers.image(images).shape == (3, 8)
    texts = towers.text(["a cat", "a much longer caption of a dog " * 20])
    assert torch.allclose(texts.norm(dim=1), torch.ones(2), atol=1e-5)
    # A text does not depend on its neighbours' length.
    assert torch.allclose(towers.text(["a cat"]), texts[:1], atol=1e-5)
    shutil.copytree(clip, tmp_path / "CLIP")
    (tmp_path / "CLIP" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InvalidModelFile, match="CLIP in CLIP"):
        load_clip_folder(tmp_path / "CLIP")


def test_clips_pictures_are_prepared_as_its_own_processor_does():
    from transformers import CLIPImageProcessorPil

    picture = Image.effect_noise((96, 64), 60).convert("RGB")
    pixels_ = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    theirs = processor(images=picture, return_tensors="pt")["pixel_values"]
    assert float((prepared(pixels_, 32) - theirs).abs().max()) < 0.05  # they round to whole bytes in between


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """Inception of zeros, ten classes; the field's names."""
    path = tmp_path_factory.mktemp("inception") / "tv.safetensors"
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in Inception(10).state_dict().items() if "num_batches" not in name}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


def test_inception_has_the_papers_size():
    """23,834,568 numbers with 1000 classes: what Keras's and torchvision's have without the auxiliary head."""
    with torch.device("meta"):
        network = Inception(1000)
    assert sum(one.numel() for one in network.parameters()) == 23_834_568
    names = set(network.state_dict())
    assert {
        "Conv2d_1a_3x3.conv.weight",
        "Mixed_6e.branch7x7dbl_5.bn.running_var",
        "Mixed_7c.branch_pool.conv.weight",
    } <= names


@torch.no_grad()
def test_inception_from_a_file(inception, tmp_path):
    deep = load_inception(inception)
    features, logits = deep.see(torch.zeros(1, 3, 32, 32))
    assert (features.shape, logits.shape) == ((1, 2048), (1, 10))
    assert not features.is_meta
    assert "10 classes" in deep.name
    assert inception_file(inception.parent) == inception
    assert inception_file(tmp_path) is None


def test_what_is_no_inception_is_refused(inception, models, tmp_path):
    folder = tmp_path / "models" / "inception"
    folder.mkdir(parents=True)
    path = folder / "a.safetensors"
    save_file({"fc.weight": torch.zeros(3, 4)}, path)
    with pytest.raises(InvalidModelFile, match="no Inception"):
        load_inception(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(InvalidModelFile, match=r"fc\.weight"):
        load_inception(path)


def test_a_pickle_that_runs_code_is_not_run(place, small_file, models):
    """It costs itself: CLIP's features stand in, with a remark."""
    import pickle

    class Evil:
        def __reduce__(self):
            return (Path.touch, (place / "canary",))

    folder = place / "models" / "inception"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(pickle.dumps(Evil()))
    found, context, _ = evaluated(place, small_file, models, pictures=1)
    assert not (place / "canary").exists()
    assert any("refused" in note and "measured by CLIP" in note for note in context.notes)
    assert "CLIP" in by_name(found)["fid"]["note"]
