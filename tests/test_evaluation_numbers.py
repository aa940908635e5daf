"""The mathematics of `artdiff evaluate`, against closed forms, direct sums and other libraries."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from artdiff.evaluation.bootstrap import counts, interval
from artdiff.evaluation.frechet import frechet_distance, frechet_from_moments
from artdiff.evaluation.kernel import kernel_distance, mmd_unbiased, polynomial_kernel
from artdiff.evaluation.manifold import density_coverage, inside_balls, precision_recall, radii
from artdiff.evaluation.scores import clip_scores, inception_score
from artdiff.openclip import mend_torchvision

REFERENCE = json.loads((Path(__file__).parent / "references" / "evaluation.json").read_text())


def normal(seed, rows, size):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, size)))


def with_moments(rows, mean, root):
    """Rows with exactly this mean and the covariance root^T root."""
    rows = rows - rows.mean(0)
    white = torch.linalg.qr(rows).Q * (len(rows) - 1) ** 0.5
    return white @ root + mean


def reference_sets():
    """Two feature sets that numpy's generator makes the same everywhere."""
    made = np.random.default_rng(1).standard_normal((80, 12)) * 1.1 + 0.2
    real = np.random.default_rng(2).standard_normal((60, 12))
    return torch.from_numpy(made), torch.from_numpy(real)


# Frechet.


def test_frechet_of_isotropic_gaussians():
    """|shift|^2 + D (s - r)^2."""
    eye = torch.eye(5).double()
    a = with_moments(normal(0, 50, 5), torch.zeros(5), 2.0 * eye)
    b = with_moments(normal(1, 70, 5), torch.full((5,), 0.5), 3.0 * eye)
    assert frechet_distance(a, b) == pytest.approx(5 * 0.25 + 5 * 1.0, rel=1e-12)


def test_frechet_of_commuting_covariances():
    """Covariances with the same axes: the sum of squared differences of standard deviations."""
    axes = torch.linalg.qr(normal(2, 6, 6)).Q
    s, r = torch.tensor([[1.0, 2, 3, 4, 5, 6], [2.0, 2, 1, 0.5, 7, 3]]).double()
    a = with_moments(normal(3, 90, 6), torch.zeros(6), s[:, None] * axes.T)
    b = with_moments(normal(4, 40, 6), torch.arange(6).double(), r[:, None] * axes.T)
    wanted = float((s - r).square().sum() + torch.arange(6).square().sum())
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-11)


def test_frechet_of_two_dimensions():
    """tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) for 2 x 2 matrices that do not commute."""
    a = torch.tensor([[2.0, 0.7], [0.7, 1.0]]).double()
    b = torch.tensor([[1.0, -0.4], [-0.4, 3.0]]).double()
    ab = a @ b
    root = math.sqrt(float(ab.trace()) + 2 * math.sqrt(float(torch.linalg.det(ab))))
    wanted = float(a.trace() + b.trace()) - 2 * root
    zero = torch.zeros(2).double()
    assert frechet_from_moments(zero, a, zero, b) == pytest.approx(wanted, rel=1e-12)
    rows_a = with_moments(normal(5, 30, 2), zero, torch.linalg.cholesky(a).T)
    rows_b = with_moments(normal(6, 30, 2), zero, torch.linalg.cholesky(b).T)
    assert frechet_distance(rows_a, rows_b) == pytest.approx(wanted, rel=1e-11)


@pytest.mark.parametrize(("n", "m", "size"), [(10, 14, 64), (10, 200, 64), (200, 10, 64)])
def test_frechet_of_covariances_without_full_rank(n, m, size):
    """With fewer rows than features, rows and their moments agree, and zero is zero."""
    a, b = normal(7, n, size), normal(8, m, size) * 2 + 1
    moments = frechet_from_moments(a.mean(0), a.T.cov(), b.mean(0), b.T.cov())
    assert frechet_distance(a, b) == pytest.approx(moments, rel=1e-7)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * float(a.T.cov().trace()))
    assert frechet_distance(a, a.flip(0)) == pytest.approx(0, abs=1e-9 * float(a.T.cov().trace()))


def test_frechet_of_subspaces_at_right_angles():
    """Covariances that share no direction: the whole of both traces is left."""
    a, b = torch.zeros(20, 8).double(), torch.zeros(20, 8).double()
    a[:, :3], b[:, 3:6] = normal(9, 20, 3), normal(10, 20, 3)
    wanted = (a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace()
    assert frechet_distance(a, b) == pytest.approx(float(wanted), rel=1e-12)


def test_frechet_is_symmetric_and_ignores_a_turn_of_the_axes():
    a, b = normal(11, 40, 7), normal(12, 50, 7) @ normal(13, 7, 7)
    turn = torch.linalg.qr(normal(14, 7, 7)).Q
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(a @ turn, b @ turn), rel=1e-11)


def test_counts_of_frechet_are_copies():
    a, b = normal(15, 12, 5), normal(16, 9, 5)
    often = torch.tensor([0, 2, 1, 3, 0, 1, 1, 0, 2, 1, 1, 0])
    copies = a.repeat_interleave(often, dim=0)
    assert frechet_distance(a, b, often) == pytest.approx(frechet_distance(copies, b), rel=1e-11)


@pytest.mark.parametrize(("a", "b"), [((3, 2), (3, 4)), ((1, 2), (3, 2)), ((3,), (3,))])
def test_frechet_refuses(a, b):
    with pytest.raises(ValueError, match=r"features|at least 2"):
        frechet_distance(torch.zeros(a), torch.zeros(b))


# Kernel.


def test_kernel_distance_is_the_direct_double_sum():
    a, b = normal(17, 9, 4), normal(18, 7, 4) + 0.5

    def k(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    wanted = (
        sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / (9 * 8)
        + sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / (7 * 6)
        - 2 * sum(k(x, y) for x in a for y in b) / (9 * 7)
    )
    assert kernel_distance(a, b) == pytest.approx(wanted, rel=1e-12)


def test_kernel_distance_is_unbiased():
    """Equal distributions: the mean over many pairs of sets is 0, though each set is small."""
    values = [kernel_distance(normal(2 * i, 8, 3), normal(2 * i + 1, 8, 3)) for i in range(400)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0


def test_rows_of_a_resample_never_pair_with_their_copies():
    """Sums over pairs of different rows, weighed by their counts, as written out."""
    a, b = normal(19, 5, 3), normal(20, 4, 3)
    ca, cb = torch.tensor([2.0, 0, 1, 1, 1]).double(), torch.tensor([1.0, 3, 0, 0]).double()
    aa, ab, bb = polynomial_kernel(a, a), polynomial_kernel(a, b), polynomial_kernel(b, b)

    def pairs(kernel, c):
        rows = range(len(c))
        both = [(i, j) for i in rows for j in rows if i != j]
        total = sum(c[i] * c[j] for i, j in both)
        return sum(c[i] * c[j] * kernel[i, j] for i, j in both) / total

    cross = sum(ca[i] * cb[j] * ab[i, j] for i in range(5) for j in range(4)) / 20
    wanted = float(pairs(aa, ca) + pairs(bb, cb) - 2 * cross)
    assert mmd_unbiased(aa, ab, bb, ca, cb) == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(ValueError, match="2 different rows"):
        mmd_unbiased(aa, ab, bb, torch.tensor([5.0, 0, 0, 0, 0]).double(), cb)


# Manifolds.


def test_precision_and_recall_of_clusters():
    """The model makes one of two clusters well, and something else that is in neither."""
    near, far, odd = normal(21, 20, 2), normal(22, 20, 2) + 100, normal(23, 10, 2) - 500
    real, made = torch.cat([near, far]), torch.cat([near + 1e-9, odd])
    assert precision_recall(made, real) == (pytest.approx(20 / 30), pytest.approx(0.5))
    density, coverage = density_coverage(made, real)
    assert coverage == pytest.approx(0.5) and 0.5 < density < 1


def test_precision_and_recall_on_a_line():
    """Balls on a line by hand: real 0, 1, 2 with k = 1 cover [-1, 3]; made 3, 4 cover [2, 5]."""
    real = torch.tensor([[0.0], [1.0], [2.0]])
    made = torch.tensor([[3.0], [4.0]])
    assert radii(real, 1).tolist() == [1, 1, 1]
    assert inside_balls(made, real, 1).tolist() == [[False, False, True], [False] * 3]
    assert precision_recall(made, real, k=1) == (0.5, pytest.approx(1 / 3))
    assert density_coverage(made, real, k=1) == (0.5, pytest.approx(1 / 3))


def test_equal_sets_are_wholly_inside():
    rows = normal(24, 30, 6)
    assert precision_recall(rows, rows.clone()) == (1.0, 1.0)
    density, coverage = density_coverage(rows, rows.clone())
    assert coverage == 1.0 and density > 1


def test_distant_sets_are_wholly_outside():
    assert precision_recall(normal(25, 30, 6), normal(26, 30, 6) + 50) == (0.0, 0.0)


def test_too_few_rows_for_neighbours():
    with pytest.raises(ValueError, match="more than 3 rows, not 3"):
        precision_recall(torch.zeros(9, 2), torch.zeros(3, 2))


# Scores.


def test_inception_score_of_known_classes():
    """K sure classes in equal parts give K; unsure or equal pictures give 1."""
    sure = 1e3 * torch.eye(4).repeat(3, 1)
    assert inception_score(sure) == pytest.approx(4, rel=1e-12)
    assert inception_score(torch.zeros(5, 7)) == pytest.approx(1, rel=1e-12)
    assert inception_score(sure[:1].repeat(6, 1)) == pytest.approx(1, rel=1e-12)
    weighed = torch.tensor([2.0, 2, 0, 0] + [0] * 8)
    assert inception_score(sure, weighed) == pytest.approx(2, rel=1e-12)


def test_clip_scores():
    images = torch.tensor([[2.0, 0], [0, 3], [1, 1]])
    texts = torch.tensor([[1.0, 0], [0, -1], [1, 0]])
    assert clip_scores(images, texts).tolist() == pytest.approx([100, 0, 100 / math.sqrt(2)])


# Against other libraries.


def test_agreement_with_stored_numbers_of_other_libraries():
    made, real = reference_sets()
    stored = REFERENCE["numbers"]
    ours = {
        "fid": frechet_distance(made, real),
        "kid": kernel_distance(made[:60], real),
        "is": inception_score(3 * made),
    }
    for library, theirs in stored.items():
        for name, value in ours.items():
            assert value == pytest.approx(theirs[name], rel=1e-9), (library, name)
    precision, recall = precision_recall(made, real)
    assert precision == pytest.approx(stored["torch_fidelity"]["precision"], abs=1e-6)
    assert recall == pytest.approx(stored["torch_fidelity"]["recall"], abs=1e-6)


def test_agreement_with_torch_fidelity_as_it_is_installed():
    mend_torchvision()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    made, real = reference_sets()
    statistics = [fid_features_to_statistics(rows) for rows in (made, real)]
    (theirs,) = fid_statistics_to_metric(*statistics, verbose=False).values()
    assert frechet_distance(made, real) == pytest.approx(theirs, rel=1e-9)


# Bootstrap.


def test_counts_have_names():
    one = counts(3, "a", 0, 50)
    assert one.sum() == 50 and torch.equal(one, counts(3, "a", 0, 50))
    others = [counts(4, "a", 0, 50), counts(3, "b", 0, 50), counts(3, "a", 1, 50)]
    assert not any(torch.equal(one, other) for other in others)
    mean = sum(counts(0, "mean", step, 10) for step in range(400)) / 400
    assert (mean - 1).abs().max() < 0.25


def test_interval_is_that_of_the_percentiles():
    low, high = interval(50, lambda step: step, 101, share=0.9)
    assert (low, high) == pytest.approx((5, 95))
    moved = interval(0, lambda step: step, 101, share=0.9, recentre=True)
    assert moved == pytest.approx((-45, 45))
    kept = interval(0, lambda step: step, 101, share=0.9, recentre=True, bounds=(-1, 9))
    assert kept == (-1, 9)


def coverage(seed_of, value, wanted, trials=60, rounds=60, recentre=False):
    """How often the interval of 90 % holds what the number estimates."""
    hits = 0
    for trial in range(trials):
        a, b = seed_of(trial)
        n, m = len(a), len(b)
        estimate = value(a, b)
        low, high = interval(
            estimate(torch.ones(n).double(), torch.ones(m).double()),
            lambda step, trial=trial, estimate=estimate, n=n, m=m: estimate(
                counts(trial, "a", step, n), counts(trial, "b", step, m)
            ),
            rounds, share=0.9, recentre=recentre,
        )
        hits += low <= wanted <= high
    return hits / trials


def test_intervals_of_the_kernel_distance_cover():
    """The distance of two distributions on five points each is a finite sum."""
    points_a, points_b = normal(30, 5, 3), normal(31, 5, 3) + 0.5
    aa, bb = (polynomial_kernel(p, p).mean() for p in (points_a, points_b))
    wanted = float(aa + bb - 2 * polynomial_kernel(points_a, points_b).mean())

    def draw(trial):
        rng = np.random.default_rng(trial)
        return points_a[rng.integers(0, 5, 60)], points_b[rng.integers(0, 5, 60)]

    def value(a, b):
        aa, ab, bb = polynomial_kernel(a, a), polynomial_kernel(a, b), polynomial_kernel(b, b)
        return lambda ca, cb: mmd_unbiased(aa, ab, bb, ca, cb)

    assert coverage(draw, value, wanted) >= 0.75


def test_intervals_of_the_frechet_distance_cover_its_expectation():
    def draw(trial):
        return normal(1000 + trial, 60, 3), normal(5000 + trial, 60, 3) * 1.5 + 0.5

    def value(a, b):
        return lambda ca, cb: frechet_distance(a, b, ca, cb)

    wanted = float(np.mean([frechet_distance(*draw(trial)) for trial in range(60, 400)]))
    assert coverage(draw, value, wanted, recentre=True) >= 0.75
