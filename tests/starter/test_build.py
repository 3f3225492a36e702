"""A tiny build from drawing to the finished file, through the same code as the real one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from modules.core.tensorfile import read_header
from modules.families import colours
from modules.families.built import BuildOptions
from modules.families.checkpoint import build as build_checkpoint
from modules.families.clip_vision import MEAN_SHIFT, load_clip
from modules.families.judge import load_judge
from modules.families.recognise import is_stable_diffusion_1
from modules.starter.autoencoder import psnr, restore, to_bytes, to_tensor
from modules.starter.build import STAGES, evaluate, export, run_stage
from modules.starter.clip import contrastive_loss, text_encoder_of, text_features, tokens_of
from modules.starter.drawing import Recipe, generate, sheet
from modules.starter.evaluate import Exam, couple_specs, exam_specs, examine
from modules.starter.loop import taken
from modules.starter.onward import Finished
from modules.starter.pictures import open_worn
from modules.starter.recipe import Build
from modules.starter.sheets import write_sheets
from modules.starter.unet import alphas_cumprod, build_unet, halved, sharpen, sharpening_of, unet_loss
from modules.starter.world import FIRST, FULL, is_held_out


@pytest.fixture(scope="module")
def files(tiny, tmp_path_factory):
    """The exported tiny model."""
    folder = tmp_path_factory.mktemp("files")
    for stage in STAGES[1 : STAGES.index("export")]:
        run_stage(stage, tiny)
    export(tiny, folder / "starter.safetensors", folder)
    return folder


@pytest.fixture(scope="module")
def exam(files, tiny) -> Exam:
    model = build_checkpoint(files / "starter.safetensors", BuildOptions(half=False), family="test")
    return Exam(
        model=model,
        judge=load_judge(files / "judge.safetensors"),
        clip=load_clip(files / "clip_vision.safetensors", model.text_encoder),
        tokenizer=tiny.tokenizer,
        words=FIRST,
        count=4,
        recipe=Recipe(size=64, steps=2, batch=2),
    )


def test_the_file_is_a_stable_diffusion_1_checkpoint(files):
    header = read_header(files / "starter.safetensors")
    assert is_stable_diffusion_1(header.shapes)
    assert set(header.kinds.values()) == {"F16"}
    assert header.metadata["modelspec.sai_model_spec"] == "1.0.0"
    assert header.metadata["modelspec.resolution"] == "64x64"
    assert set(json.loads(header.metadata["atelier.config"])) == {"unet", "vae", "text_encoder"}
    assert colours.from_metadata(header.metadata) is not None


def test_the_file_gives_back_the_networks(files, tiny, exam):
    """What was trained and what is loaded agree, up to float16."""
    ids = tokens_of(tiny.tokenizer, ["a red cat"])
    ours = tiny.painter.text_encoder(input_ids=ids).last_hidden_state
    theirs = exam.model.text_encoder(input_ids=ids).last_hidden_state
    assert torch.allclose(ours, theirs, atol=0.02)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([10, 500])
    both = ours.repeat(2, 1, 1)
    with torch.no_grad():
        assert torch.allclose(tiny.painter.unet(x, t, both).sample, exam.model.predict(x, t, both), atol=0.05)
        assert torch.allclose(tiny.autoencoder.decode(x).sample, exam.model.vae.decode(x).sample, atol=0.05)


def test_clip_is_put_together_again_as_it_was(tiny, exam):
    """Its text tower comes from the checkpoint, where its mean was moved; here it is moved back."""
    ids = tokens_of(tiny.tokenizer, ["a red cat", "a blue dog"])
    assert torch.allclose(text_features(tiny.clip, ids), text_features(exam.clip, ids), atol=0.01)
    assert (
        float((tiny.painter.text_encoder(ids).last_hidden_state - tiny.clip.text_model(ids).last_hidden_state).mean())
        > 0.09
    )


def test_a_second_build_in_the_same_folder_trains_nothing_again(files, tiny, monkeypatch):
    monkeypatch.setattr("modules.starter.loop._one_step", lambda *given: pytest.fail("trained again"))
    again = Build(sizes=tiny.sizes, folder=tiny.folder)
    assert all(
        torch.equal(a, b) for a, b in zip(again.painter.unet.parameters(), tiny.painter.unet.parameters(), strict=True)
    )
    assert all(
        torch.equal(a, b) for a, b in zip(again.autoencoder.parameters(), tiny.autoencoder.parameters(), strict=True)
    )


def test_a_build_goes_on_from_a_finished_model(files, tiny, tmp_path, tmp_path_factory):
    begin = Finished(checkpoint=files / "starter.safetensors", judges=files)
    none = {f"{name}_steps": 0 for name in ("autoencoder", "decoder", "clip", "vision", "judge", "unet", "emphasis")}
    onward = Build(sizes=replace(tiny.sizes, **none), folder=tmp_path, begin=begin)
    for part in ("painter", "autoencoder", "judge", "clip"):
        ours, theirs = (dict(getattr(build, part).named_parameters()) for build in (onward, tiny))
        assert all(torch.allclose(ours[name], theirs[name], atol=2e-3) for name in theirs), part
    further = Build(
        sizes=replace(tiny.sizes, **none | {"unet_steps": 2, "vision_steps": 2}),
        folder=tmp_path_factory.mktemp("further"),
        begin=begin,
    )
    assert not torch.equal(further.painter.unet.conv_in.weight, onward.painter.unet.conv_in.weight)
    clips = further.clip, onward.clip
    assert taken(further.folder) == taken(onward.folder) | {"unet": 2, "vision": 2}
    assert not torch.equal(*(clip.visual_projection.weight for clip in clips))
    read, before = (build.painter.text_encoder.state_dict() for build in (further, onward))
    assert not all(torch.equal(a, b) for a, b in zip(read.values(), before.values(), strict=True))


def test_the_file_says_how_long_it_was_trained(files, tiny):
    about = read_header(files / "starter.safetensors").metadata
    assert json.loads(about["atelier.steps"])["unet"] == tiny.sizes.unet_steps
    assert about["atelier.began"] == "from nothing"


def test_the_same_seed_builds_the_same_model(tiny, tmp_path):
    other = Build(sizes=tiny.sizes, folder=tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(other.painter.unet.parameters(), tiny.painter.unet.parameters(), strict=True)
    )


def test_the_decoder_learns_on_while_the_latents_stay(tiny):
    first, last = tiny.first_autoencoder, tiny.autoencoder
    assert all(torch.equal(a, b) for a, b in zip(first.encoder.parameters(), last.encoder.parameters(), strict=True))
    assert not torch.equal(first.decoder.conv_in.weight, last.decoder.conv_in.weight)
    scaled = tiny.latents.float() * first.config["scaling_factor"]
    assert float(scaled.std()) == pytest.approx(1, abs=0.1)


def test_training_leaves_a_sheet_and_an_early_checkpoint(files, tiny):
    assert list(tiny.folder.glob("sheet-*.png"))
    assert "unfinished" in read_header(tiny.early).metadata["note"]


def test_the_same_prompt_and_seed_give_the_same_picture_in_any_batch(exam):
    alone = generate(exam.model, ["a red cat"], [5], exam.recipe)
    among = generate(exam.model, ["a dog", "a red cat"], [1, 5], exam.recipe)
    assert alone.shape == (1, 64, 64, 3)
    assert np.abs(alone[0].astype(int) - among[1]).max() <= 2


def test_brackets_weigh_as_on_the_page(exam):
    plain, heavy, none = generate(exam.model, ["a red cat", "a (red:1.5) cat", "a (red:1.0) cat"], [5] * 3, exam.recipe)
    assert not np.array_equal(plain, heavy)
    assert np.abs(plain.astype(int) - none).max() <= 2


def test_an_examination_has_every_figure(exam):
    figures = examine(exam)
    asked = figures.asked.of_all
    assert set(asked) == set(figures.ceiling.of_all) == set(figures.floor) == set(figures.held_out.of_all)
    assert figures.floor["subject"] == pytest.approx(1 / 6)
    assert asked["subject"].of == 4
    assert figures.asked.where_named["wear"].of == sum(bool(spec.wear) for spec in exam_specs(FIRST, 4, held_out=False))
    assert all(0 <= score.right <= 1 for score in asked.values())
    assert 0 <= figures.demo <= 1
    assert 0 <= figures.ranking <= 1
    assert figures.two.of == 0  # this world has no relations
    assert all(0 <= share <= 1 for share in figures.emphasis.values())
    assert {"cute", "sketch", "cinematic lighting"} <= set(figures.words)
    lines = figures.table().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| 1.6 |" in figures.effects()


def test_evaluating_prints_and_draws_the_sheets(files, tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("modules.starter.build.SHEETS", tmp_path)
    with caplog.at_level("INFO", logger="modules.starter.build"):
        evaluate(tiny, files / "starter.safetensors", files, count=2)
    assert "| subject |" in caplog.text
    assert "| cute |" in caplog.text
    assert len(list(tmp_path.glob("starter-*.png"))) == 4
    with Image.open(files / "starter.preview.png") as preview:
        assert preview.size == (64, 64)


def test_couples_are_of_two_kinds():
    couples = couple_specs(FULL, 20)
    assert len(couples) == 20
    assert all(spec.other and spec.other.subject != spec.subject for spec in couples)
    assert couple_specs(FIRST, 20) == []


def test_exam_prompts_are_held_out_where_they_should_be():
    assert not any(is_held_out(spec) for spec in exam_specs(FIRST, 50, held_out=False))
    assert all(is_held_out(spec) for spec in exam_specs(FIRST, 50, held_out=True))
    assert exam_specs(FIRST, 5, held_out=False) == exam_specs(FIRST, 9, held_out=False)[:5]


# The parts ---------------------------------------------------------------------------------------------------------------


def test_pictures_become_tensors_and_back():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    tensor = to_tensor(pictures)
    assert tensor.shape == (2, 3, 8, 8)
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert np.array_equal(to_bytes(tensor), pictures)


def test_psnr_is_that_of_the_textbook():
    black = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    assert psnr(black + 255, black) == pytest.approx(0)
    assert psnr(black + 1, black) == pytest.approx(48.13, abs=0.01)


def test_noise_levels_are_those_of_stable_diffusion():
    signal = alphas_cumprod()
    assert signal.shape == (1000,)
    assert float(signal[0]) == pytest.approx(0.99915, abs=1e-5)
    assert float(signal[-1]) == pytest.approx(0.004660, abs=1e-5)


def test_equal_captions_do_not_count_as_wrong():
    features = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0], [0, 1]]), dim=-1)
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    right = contrastive_loss(features, features, torch.tensor(50.0), same)
    strict = contrastive_loss(features, features, torch.tensor(50.0), torch.eye(3, dtype=torch.bool))
    assert float(right) == pytest.approx(2 / 3 * np.log(2), abs=1e-3)
    assert float(strict) >= float(right) - 1e-6


def test_restoring_keeps_shape(tiny):
    assert restore(tiny.autoencoder, tiny.pictures[:3]).shape == (3, 64, 64, 3)


def test_sheets_lay_pictures_in_rows():
    pictures = np.zeros((3, 16, 16, 3), dtype=np.uint8)
    page = sheet([pictures, pictures[:2]], 2)
    assert page.size == (3 * 36 - 4, 2 * 36 - 4)
    assert page.getpixel((0, 0)) == (0, 0, 0)
    assert page.getpixel((107 - 4, 60)) == (255, 255, 255)


def test_a_sheet_has_a_column_for_every_word(exam, tmp_path):
    write_sheets(exam.model, exam.recipe, tmp_path / "new")
    with Image.open(tmp_path / "new" / "starter-samples.png") as page:
        assert page.size == (10 * 68 - 4, 3 * 68 - 4)


def test_rare_things_are_shown_more_often(tiny):
    specs = [tiny.gallery.spec(n) for n in range(len(tiny.latents))]
    wanted = [6.0 if spec.wear_colour else 4.0 if spec.wear else 1.0 for spec in specs]
    assert tiny.examples.weights.tolist() == wanted
    assert {1.0, 4.0, 6.0} == set(wanted)


def test_it_is_known_where_something_is_worn(tiny, tmp_path):
    shown = [bool(field.any()) for field in tiny.worn]
    assert shown == [bool(tiny.gallery.spec(n).wear) for n in range(len(tiny.latents))]
    assert True in shown
    assert tiny.worn.shape == (16, 8, 8)
    assert torch.equal(open_worn(tiny.gallery, 16, 8, tmp_path, 1), tiny.worn)  # drawn again, not read


@pytest.mark.parametrize(("said", "times"), [("a cat wearing a hat", 4.0), ("an astronaut cat", 4.0), ("a cat", 1.0)])
def test_errors_count_more_where_something_is_worn_that_the_caption_names(tiny, said, times):
    """By as much as said: here all latents show what is worn."""
    shape = replace(tiny.sizes.unet, caption_dropout=0.0)
    texts = tokens_of(tiny.tokenizer, [said]).expand(len(tiny.examples.latents), 1, -1)
    shown, bare = (
        replace(tiny.examples, texts=texts, worn=torch.full_like(tiny.examples.worn, value)) for value in (255, 0)
    )
    losses = [float(unet_loss(shape, tiny.painter, one)(0, torch.Generator().manual_seed(1))) for one in (shown, bare)]
    assert losses[0] == pytest.approx(times * losses[1], rel=1e-4)


def test_the_text_encoder_learns_with_the_unet_but_not_its_words(tiny):
    before = text_encoder_of(tiny.first_clip).state_dict()
    moved = {
        name for name, value in tiny.painter.text_encoder.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved
    assert moved == {name for name in before if "embedding" not in name}


def test_clips_text_half_is_the_checkpoints(tiny):
    ids = tokens_of(tiny.tokenizer, ["a red cat"])
    here, there = tiny.clip.text_model(ids).last_hidden_state, tiny.painter.text_encoder(ids).last_hidden_state
    assert torch.allclose(here + MEAN_SHIFT, there, atol=1e-5)


def test_sharpened_states_show_small_differences_better(tiny):
    matrix = sharpening_of(tiny.painter.text_encoder, tiny.texts[:, 0])
    states = tiny.painter.text_encoder(input_ids=tiny.texts[:, 0]).last_hidden_state.flatten(0, 1)
    before, after = (torch.linalg.svdvals(some - some.mean(dim=0)) for some in (states, states @ matrix))
    assert after[10] / after[0] > 1.5 * before[10] / before[0]
    lengths = [float(some.norm(dim=1).mean()) for some in (states, states @ matrix)]
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-4)


def test_a_sharpened_model_does_with_plain_states_what_it_learned_with_sharp_ones(tiny):
    torch.manual_seed(0)
    learned = build_unet(tiny.sizes.unet, tiny.first_clip.config.projection_dim, tiny.latent_side)
    plain = build_unet(tiny.sizes.unet, tiny.first_clip.config.projection_dim, tiny.latent_side)
    plain.load_state_dict(learned.state_dict())
    sharpen(plain, tiny.sharpening)
    states = tiny.painter.text_encoder(input_ids=tiny.texts[:2, 0]).last_hidden_state
    noisy, t = torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    expected = learned(noisy, t, encoder_hidden_states=states @ tiny.sharpening).sample
    assert torch.allclose(plain(noisy, t, encoder_hidden_states=states).sample, expected, atol=1e-4)
    assert not torch.allclose(learned(noisy, t, encoder_hidden_states=states).sample, expected, atol=1e-4)


def test_halved_latents_are_means_of_unit_variance(tiny):
    latents, worn = torch.arange(64.0).reshape(1, 4, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)
    worn[0, 0, :2] = 255
    halves = halved(replace(tiny.examples, latents=latents, worn=worn))
    assert halves.worn.tolist() == [[[127, 0], [0, 0]]]
    small = halves.latents
    assert small.shape == (1, 4, 2, 2)
    assert float(small.std()) == pytest.approx(1)
    first, other = latents[0, 0, :2, :2].mean(), latents[0, 0, :2, 2:].mean()
    assert float(small[0, 0, 0, 1] / small[0, 0, 0, 0]) == pytest.approx(float(other / first))
