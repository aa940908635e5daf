"""Noise depends on seed, stream and step, and on nothing else."""

import pickle
import random

import numpy as np
import pytest
import torch

from artdiff.random import Noise

SEEDS = [1, -(2**63), 2**64 - 1]
PINNED = [[1.0502101, 0.2391352, -0.7117187], [-0.0971757, 0.0790385, 1.3731903]]


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_one_batch_is_three_batches(kind, dtype):
    like = torch.empty(3, 4, 8, 8, dtype=dtype)
    whole = getattr(Noise(SEEDS).at(5), kind)(like, "sampler")
    parts = [getattr(Noise([seed], step=5), kind)(like[:1], "sampler") for seed in SEEDS]
    assert whole.dtype == dtype and torch.equal(whole, torch.cat(parts))
    turned = getattr(Noise(SEEDS[::-1]).at(5), kind)(like, "sampler")
    assert torch.equal(whole, turned.flip(0))


def test_same_question_same_answer():
    noise, like = Noise([3]), torch.empty(1, 100)
    assert torch.equal(noise.normal(like, "a"), noise.normal(like, "a"))
    assert torch.equal(noise.normal(like, "a"), noise.at(9).at(0).normal(like, "a"))
    assert pickle.loads(pickle.dumps(noise)) == noise


def test_other_names_give_independent_noise():
    like = torch.empty(1, 20_000, dtype=torch.float64)
    base = Noise([1])
    draws = [
        base.normal(like, "sampler"),
        base.at(1).normal(like, "sampler"),
        base.normal(like, "clip"),
        base.normal(like, "sampler|0"),
        Noise([2]).normal(like, "sampler"),
        Noise([1 + 2**32]).normal(like, "sampler"),
        Noise([-1]).normal(like, "sampler"),
        Noise([2**64 - 1]).normal(like, "sampler"),
        base.uniform(like, "sampler") - 0.5,
    ]
    correlation = torch.corrcoef(torch.cat(draws)) - torch.eye(len(draws))
    assert correlation.abs().max() < 0.04


def test_distributions():
    like = torch.empty(4, 50_000, dtype=torch.float64)
    normal, uniform = Noise(range(4)).normal(like, "x"), Noise(range(4)).uniform(like, "x")
    moments = [normal.pow(k).mean().item() for k in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.06)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert [uniform.mean(), uniform.var()] == pytest.approx([1 / 2, 1 / 12], abs=0.004)


def test_values_are_pinned():
    """These values are a promise: pictures are named by their seeds."""
    values = Noise([0, -7]).at(2).normal(torch.empty(2, 3), "sampler")
    expected = torch.tensor(PINNED)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-6)


def test_global_generators_are_untouched():
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    Noise([1, 2]).normal(torch.empty(2, 50), "a")
    Noise([1, 2]).uniform(torch.empty(2, 50), "a")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (str(np.random.get_state()), random.getstate())


@pytest.mark.parametrize("seed", [1.0, "1", None, True, 2**64, -(2**63) - 1])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        Noise([0, seed])


def test_numpy_integers_are_seeds():
    assert Noise([np.int64(-4)]) == Noise([-4])


@pytest.mark.parametrize("shape", [(3, 2), ()])
def test_rows_and_seeds_must_agree(shape):
    with pytest.raises(ValueError, match="2 seeds"):
        Noise([1, 2]).normal(torch.empty(shape), "a")
