"""FID, KID, Inception and CLIP scores against formulas, known values and torchmetrics; each with a control that fails."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from modules.training import frechet
from modules.training.clip_score import clip_i, clip_i_among, clip_score, clip_scores, hessel_score
from modules.training.meters import (
    distances,
    effective_number,
    mean_interval,
    memorised,
    nearest,
    nearest_among,
    share_interval,
)


def drawn(count, width, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exactly(samples, mean, deviation):
    """Samples whose mean and covariance are these to the last digit, not only on average."""
    centred = samples - samples.mean(dim=0)
    root = torch.linalg.cholesky(centred.T @ centred / (len(samples) - 1))
    return torch.linalg.solve_triangular(root, centred.T, upper=False).T * deviation + mean


def formula(left, right):
    """‖μ1-μ2‖² + Tr(Σ1 + Σ2 - 2 (Σ1^½ Σ2 Σ1^½)^½), by symmetric eigenvalues: contract 3.10, without scipy."""
    covariances = [torch.cov(one.T) for one in (left, right)]
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    inner = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    traces = sum(one.trace() for one in covariances)
    return float((left.mean(dim=0) - right.mean(dim=0)).square().sum() + traces - 2 * inner)


# FID ------------------------------------------------------------------------------------------------------------------


def test_fid_of_known_gaussians():
    """N(0, 1) and N(1, 4) in five dimensions: 5 · 1 + 5 · (1 + 4 - 2 · 2) = 10."""
    left = exactly(drawn(400, 5), 0, 1)
    right = exactly(drawn(300, 5, seed=1), 1, 2)
    assert frechet.fid(left, right) == pytest.approx(10, rel=1e-9)
    assert frechet.fid(left, left) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("count", "width"), [(2000, 64), (18, 64), (18, 512)])
def test_fid_is_the_formula(count, width):
    """The second and third are singular, as with eighteen pictures; the third is turned into fewer dimensions first."""
    left, right = drawn(count, width), 0.5 + 1.3 * drawn(count + 2, width, seed=1)
    assert frechet.fid(left, right) == pytest.approx(formula(left, right), rel=1e-6)


def test_a_wrong_fid_is_told_apart():
    """Without the cross term, or with the biased covariance, the number is another one."""
    left, right = drawn(40, 6), 1 + drawn(40, 6, seed=1)
    wrong = formula(left, right) + 2 * float(torch.cov(left.T).trace())
    assert frechet.fid(left, right) != pytest.approx(wrong, rel=1e-3)
    biased = float((left.mean(dim=0) - right.mean(dim=0)).square().sum()) + (formula(left, right)) * 39 / 40
    assert frechet.fid(left, right) != pytest.approx(biased, rel=1e-3)


def test_few_pictures_make_a_large_fid():
    """Two samples of the same thing: what the caveat beside the number says."""
    few = frechet.fid(drawn(18, 64), drawn(18, 64, seed=1))
    many = frechet.fid(drawn(2000, 64), drawn(2000, 64, seed=1))
    assert few > 50
    assert many < 4


def test_kid_has_no_such_bias():
    values = [frechet.kid(drawn(18, 16, seed=n) / 4, drawn(18, 16, seed=100 + n) / 4) for n in range(20)]
    mean = sum(values) / len(values)
    assert abs(mean) < 0.02
    assert frechet.kid(drawn(18, 16) / 4, 1 + drawn(18, 16, seed=1) / 4) > 0.5


def test_kid_of_sets_of_different_size_repeats_itself():
    left, right = drawn(9, 4), drawn(14, 4, seed=1)
    assert frechet.kid(left, right) == frechet.kid(left, right)


def test_softmax_fid_is_bounded_and_of_probabilities():
    """Subject2Subject's table: softmax of the last layer. Two sets that are sure of different classes are 2 apart."""
    left, right = torch.zeros(18, 10), torch.zeros(18, 10)
    left[:, 0] = right[:, 1] = 100
    assert frechet.softmax_fid(left, right) == pytest.approx(2, abs=1e-6)
    assert frechet.fid(left, right) == pytest.approx(20_000)
    logits, others = drawn(18, 10), drawn(18, 10, seed=1)
    assert frechet.softmax_fid(logits, others) == pytest.approx(formula(logits.softmax(1), others.softmax(1)), rel=1e-6)


# Inception score --------------------------------------------------------------------------------------------------------


def inception_formula(logits):
    odds = logits.softmax(dim=1)
    return float((odds * (odds.log() - odds.mean(dim=0).log())).sum(dim=1).mean().exp())


def test_inception_score_is_the_formula():
    logits = 3 * drawn(60, 8)
    assert frechet.inception_score(logits) == pytest.approx(inception_formula(logits), rel=1e-9)
    assert frechet.inception_score(logits) != pytest.approx(inception_formula(2 * logits), rel=1e-3)


def test_inception_score_of_ten_splits():
    """The splits are drawn, so the mean over the ten of one order is looked at: it lies near, and repeats itself."""
    logits = 3 * drawn(500, 4)
    ten = frechet.inception_score(logits, splits=10)
    assert ten == frechet.inception_score(logits, splits=10)
    assert ten == pytest.approx(inception_formula(logits), rel=0.05)


def test_inception_scores_ends():
    sure = 100 * torch.eye(5).repeat(4, 1)
    assert frechet.inception_score(sure) == pytest.approx(5)
    assert frechet.inception_score(torch.ones(7, 5)) == pytest.approx(1)


def test_torchs_chance_is_left_alone():
    before = torch.random.get_rng_state()
    frechet.inception_score(drawn(6, 3))
    frechet.kid(drawn(6, 3), drawn(7, 3))
    assert torch.equal(before, torch.random.get_rng_state())


# CLIP -------------------------------------------------------------------------------------------------------------------


class Towers(torch.nn.Module):
    """What torchmetrics asks of a CLIP: two calls and a configuration. The towers are of random weights."""

    config = None

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.vision, self.words = torch.nn.Linear(3 * 4 * 4, 8), torch.nn.EmbeddingBag(40, 8)

    def get_image_features(self, pixels):
        return self.vision(pixels.flatten(1))

    def get_text_features(self, ids, mask):
        return self.words(ids)


def processed(text=None, images=None, **_):
    if images is not None:
        return {"pixel_values": torch.stack(list(images)).float()}
    ids = torch.tensor([[ord(letter) % 40 for letter in (one + "      ")[:6]] for one in text])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@torch.no_grad()
def test_clip_score_is_torchmetrics():
    from torchmetrics.functional.multimodal import clip_score as theirs

    towers, images = Towers(), torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    texts = ["a cat", "a dog", "snow"]
    expected = float(theirs(images, texts, model_name_or_path=lambda: (towers, processed)))
    pictures = normalize(towers.get_image_features(images), dim=-1)
    words = normalize(towers.get_text_features(processed(text=texts)["input_ids"], None), dim=-1)
    assert clip_score(pictures, words) == pytest.approx(expected, abs=1e-4)
    assert clip_score(pictures, words.roll(1, 0)) != pytest.approx(expected, abs=1e-2)


def test_the_two_conventions():
    pictures = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    texts = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert clip_scores(pictures, texts).tolist() == [100, 0, -100]
    assert clip_score(pictures, texts) == 0  # the mean is cut off at 0, not each picture
    assert hessel_score(pictures, texts) == pytest.approx(2.5 / 3)  # each picture is
    assert clip_score(pictures[:2], texts[:2]) == pytest.approx(50)


def test_clip_i():
    pictures, others = normalize(drawn(3, 5), dim=1), normalize(drawn(4, 5, seed=1), dim=1)
    by_hand = [sum(float(one @ other) for other in others) / 4 for one in pictures]
    assert clip_i(pictures, others).tolist() == pytest.approx(by_hand)
    among = clip_i_among(others)
    assert float(among[0]) == pytest.approx(sum(float(others[0] @ other) for other in others[1:]) / 3)
    assert len(clip_i_among(others[:1])) == 0


# Meters -----------------------------------------------------------------------------------------------------------------


def test_a_copy_is_noticed():
    training = normalize(drawn(4, 8), dim=1)
    fresh, untaught = normalize(drawn(5, 8, seed=1), dim=1), normalize(drawn(6, 8, seed=2), dim=1)
    found = memorised(torch.cat([training[2:3], fresh]), training, untaught)
    assert found.tolist() == [True, *[False] * 5]
    assert float(nearest(training[:1], training)) == pytest.approx(1)
    assert float(nearest_among(training).max()) < 1
    # What the base model draws as near is no copy.
    assert not memorised(training[2:3], training, training).any()


def test_distances_are_those_of_all_pairs():
    features = normalize(drawn(6, 4), dim=1)
    pairs = [1 - float(features[a] @ features[b]) for a in range(6) for b in range(a)]
    assert float(distances(features).mean()) == pytest.approx(sum(pairs) / len(pairs))
    assert float(distances(features[:1].repeat(3, 1)).abs().max()) < 1e-12
    assert len(distances(features[:1])) == 0


@pytest.mark.parametrize(("words", "number"), [([], 0), (["a"] * 5, 1), (["a", "b", "c"] * 3, 3)])
def test_effective_numbers(words, number):
    assert effective_number(words) == pytest.approx(number)


def test_an_uneven_mix_counts_for_less():
    assert 1 < effective_number(["a"] * 9 + ["b"]) < 1.5


# Intervals --------------------------------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_holds_it_19_times_in_20():
    """200 samples of 30 from N(0, 1): the percentile bootstrap is a little narrow, as the books say."""
    inside = 0
    for n in range(200):
        low, high = mean_interval(drawn(30, 1, seed=n)[:, 0], seed=n)
        inside += low <= 0 <= high
    assert 178 <= inside <= 198


def test_intervals_repeat_themselves():
    values = drawn(20, 1)[:, 0]
    assert mean_interval(values, 5) == mean_interval(values, 5)
    assert mean_interval(values, 5) != mean_interval(values, 6)
    assert all(math.isnan(end) for end in mean_interval(values[:1], 5))


def test_a_share_of_all_is_not_certain():
    low, high = share_interval(8, 8)
    assert (round(low, 4), high) == (0.6756, 1.0)
    low, high = share_interval(0, 8)
    assert low == 0
    assert round(high, 4) == 0.3244
    assert all(math.isnan(end) for end in share_interval(0, 0))
