"""Attention in chunks is attention."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as reference

from modules.diffusion.attention import subquadratic


def drawn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(subquadratic, "QUERIES", 8)
    monkeypatch.setattr(subquadratic, "KEYS", 5)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (8, 5), (17, 23), (30, 77), (40, 40)])
def test_it_is_torchs_attention(n, m):
    q, k, v = drawn(2, 3, n, 16, seed=1), drawn(2, 3, m, 16, seed=2), drawn(2, 3, m, 12, seed=3)
    assert torch.allclose(subquadratic.attend(q, k, v), reference(q, k, v), atol=1e-6)


@pytest.mark.parametrize("rows", [1, 17])
def test_it_is_torchs_attention_with_a_mask(rows):
    q, k, v = (drawn(2, 3, n, 16, seed=n) for n in (17, 23, 23))
    mask = drawn(2, 3, rows, 23, seed=4) * 5
    assert torch.allclose(subquadratic.attend(q, k, v, mask), reference(q, k, v, attn_mask=mask), atol=1e-6)


def test_large_scores_stay_finite():
    q, k, v = (100 * drawn(1, 1, 20, 8, seed=seed) for seed in (1, 2, 3))
    found = subquadratic.attend(q, k, v)
    assert torch.isfinite(found).all()
    assert torch.allclose(found, reference(q.double(), k.double(), v.double()).float(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("number", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_full(number):
    q, k, v = (drawn(1, 2, 40, 16, seed=seed).to(number) for seed in (1, 2, 3))
    found = subquadratic.attend(q, k, v)
    assert found.dtype == number
    expected = reference(q.float(), k.float(), v.float())
    assert (found.float() - expected).abs().max() <= (expected.to(number).float() - expected).abs().max() + 1e-2


def test_no_more_than_a_chunk_of_scores_is_held(monkeypatch):
    sizes = []
    multiply = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: sizes.append(multiply(a, b).shape) or multiply(a, b))
    q, k, v = (drawn(1, 1, 64, 4, seed=seed) for seed in (1, 2, 3))
    subquadratic.attend(q, k, v)
    assert max(shape[-2] * shape[-1] for shape in sizes) <= 8 * 5
