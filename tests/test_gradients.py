"""Rules of combination and clamps, against what they promise."""

import pytest
import torch

from artdiff.guidance.gradients import QUANTILE, clamped, geometry, rms, shares

ROWS, TERMS = 5, 4
MODES = ["sum", "balanced", "projected", "priority"]


def doubles(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


GRADIENTS = [10.0 ** (i - 1) * doubles(i, ROWS, 1, 2, 3) for i in range(TERMS)]
WEIGHTS = torch.tensor([1.0, 0.5, -2.0, 3.0], dtype=torch.double).expand(ROWS, TERMS)


def combined(gradients, combine, weights=None):
    weights = torch.ones(ROWS, len(gradients)) if weights is None else weights
    taken = shares(*geometry(gradients), weights, combine)
    return sum(
        share[:, None, None, None] * gradient
        for share, gradient in zip(taken.unbind(1), gradients, strict=True)
    )


def dots(a, b):
    return (a * b).flatten(1).sum(1)


def test_geometry_is_norms_and_cosines():
    norms, cosines = geometry([*GRADIENTS, torch.zeros_like(GRADIENTS[0])])
    for i, a in enumerate(GRADIENTS):
        torch.testing.assert_close(norms[:, i], a.flatten(1).norm(dim=1))
        for j, b in enumerate(GRADIENTS):
            expected = torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))
            torch.testing.assert_close(cosines[:, i, j], expected)
    assert bool((norms[:, -1] == 0).all() & (cosines[:, -1] == 0).all())


@pytest.mark.parametrize("combine", MODES)
def test_one_term_alone_is_itself(combine):
    torch.testing.assert_close(combined(GRADIENTS[:1], combine, WEIGHTS[:, 2:3]), GRADIENTS[0])


@pytest.mark.parametrize("combine", MODES)
def test_gradients_that_do_not_meet_are_added(combine):
    """Orthogonal and of one length: every rule is the sum."""
    basis = [torch.eye(6, dtype=torch.double)[i].reshape(1, 1, 2, 3) for i in range(4)]
    torch.testing.assert_close(
        sum(basis), combined([each.expand(ROWS, 1, 2, 3) for each in basis], combine)[:1]
    )


@pytest.mark.parametrize("combine", MODES)
def test_a_gradient_of_zeros_changes_nothing(combine):
    three = GRADIENTS[:3]
    with_zero = [three[0], torch.zeros_like(three[0]), *three[1:]]
    weights = WEIGHTS[:, [0, 3, 1, 2]]
    torch.testing.assert_close(
        combined(with_zero, combine, weights), combined(three, combine, WEIGHTS[:, :3])
    )


@pytest.mark.parametrize("combine", MODES)
def test_rows_are_apart(combine):
    whole = combined(GRADIENTS, combine, WEIGHTS)
    for row in range(ROWS):
        part = slice(row, row + 1)
        norms, cosines = geometry([gradient[part] for gradient in GRADIENTS])
        taken = shares(norms, cosines, WEIGHTS[part], combine)
        alone = sum(taken[0, i] * g[part] for i, g in enumerate(GRADIENTS))
        torch.testing.assert_close(alone, whole[part], rtol=1e-12, atol=1e-12)


def test_balanced_lengths_are_weights_of_a_kept_whole():
    norms, cosines = geometry(GRADIENTS)
    lengths = shares(norms, cosines, WEIGHTS, "balanced") * norms
    torch.testing.assert_close(lengths.sum(1), norms.sum(1))
    share = WEIGHTS.abs() / WEIGHTS.abs().sum(1, keepdim=True)
    torch.testing.assert_close(lengths / lengths.sum(1, keepdim=True), share)


def test_balanced_does_not_see_the_unit_of_a_loss():
    """A loss in other units, with its weight as it is: the shares of the whole stay."""
    scaled = [1000 * GRADIENTS[0], *GRADIENTS[1:]]
    directions = []
    for gradients in (GRADIENTS, scaled):
        found = combined(gradients, "balanced", WEIGHTS)
        directions.append(found / rms(found)[:, None, None, None])
    torch.testing.assert_close(*directions)


@pytest.mark.parametrize("combine", ["sum", "balanced"])
def test_the_order_of_terms_does_not_matter(combine):
    order = [2, 0, 3, 1]
    turned = combined([GRADIENTS[i] for i in order], combine, WEIGHTS[:, order])
    torch.testing.assert_close(turned, combined(GRADIENTS, combine, WEIGHTS))


def test_projected_is_pcgrad():
    """Algorithm 1 of arXiv 2001.06782 on the vectors themselves, in the order of the terms."""
    expected = torch.zeros(ROWS, 6, dtype=torch.double)
    flat = [gradient.flatten(1) for gradient in GRADIENTS]
    conflicts = 0
    for row in range(ROWS):
        for i in range(TERMS):
            mine = flat[i][row].clone()
            for j in range(TERMS):
                other = flat[j][row]
                if j != i and mine @ other < 0:
                    mine -= (mine @ other) / (other @ other) * other
                    conflicts += 1
            expected[row] += mine
    assert conflicts > 10
    torch.testing.assert_close(combined(GRADIENTS, "projected").flatten(1), expected)


def test_two_opposed_gradients_projected():
    a = torch.tensor([1.0, 0.0], dtype=torch.double).reshape(1, 1, 1, 2)
    b = torch.tensor([-1.0, 1.0], dtype=torch.double).reshape(1, 1, 1, 2)
    taken = shares(*geometry([a, b]), torch.ones(1, 2), "projected")
    mixed = taken[0, 0] * a + taken[0, 1] * b
    torch.testing.assert_close(mixed.flatten(), torch.tensor([0.5, 1.5], dtype=torch.double))


@pytest.mark.parametrize("seed", range(20))
def test_priority_lets_no_term_work_against_an_earlier_one(seed):
    gradients = [10.0 ** (2 * i) * doubles(100 * seed + i, ROWS, 1, 2, 3) for i in range(TERMS)]
    norms, cosines = geometry(gradients)
    before = gradients[0]
    for count in range(2, TERMS + 1):
        part = shares(norms[:, :count], cosines[:, :count, :count], WEIGHTS, "priority")
        whole = sum(part[:, i, None, None, None] * gradients[i] for i in range(count))
        added = whole - before
        for earlier in gradients[: count - 1]:
            slack = 1e-9 * earlier.flatten(1).norm(dim=1) * whole.flatten(1).norm(dim=1)
            assert bool((dots(added, earlier) >= -slack).all())
        before = whole


def test_priority_leaves_the_first_and_what_agrees_alone():
    a = doubles(1, ROWS, 1, 2, 3)
    b = a + 0.1 * doubles(2, ROWS, 1, 2, 3)
    torch.testing.assert_close(combined([a, b], "priority"), a + b)
    torch.testing.assert_close(
        combined([a, -2 * a], "priority"), a, msg="what opposes the first wholly is gone"
    )
    torch.testing.assert_close(combined([-2 * a, a], "priority"), -2 * a)


def test_priority_bears_equal_terms():
    a, b = doubles(1, ROWS, 1, 2, 3), doubles(2, ROWS, 1, 2, 3)
    b = torch.where(dots(a, b)[:, None, None, None] > 0, -b, b)
    twice = combined([a, a, b], "priority")
    torch.testing.assert_close(twice - 2 * a, combined([a, b], "priority") - a)


def test_rms_clamp_is_disco_diffusions_for_each_row():
    gradient = doubles(3, ROWS, 2, 3, 4) * torch.tensor([0.01, 0.1, 1, 10, 0])[:, None, None, None]
    bounded, taken = clamped(gradient, 0.05)
    for row in range(ROWS - 1):
        magnitude = gradient[row].square().mean().sqrt()
        expected = gradient[row] * magnitude.clamp(max=0.05) / magnitude
        torch.testing.assert_close(bounded[row], expected)
        torch.testing.assert_close(taken[row], 1 - (magnitude.clamp(max=0.05) / magnitude))
    assert taken[0] == taken[4] == 0 and torch.equal(bounded[4], gradient[4])


def test_dynamic_clamp_cuts_the_largest_and_bounds_all():
    gradient = doubles(4, 2, 1, 20, 50)
    gradient[:, 0, 0, 0] = 1000.0
    gradient[1] *= 0.001
    bounded, taken = clamped(gradient, 0.1, "dynamic")
    assert float(bounded.abs().max()) <= 0.1 + 1e-12
    top = gradient[0].abs().flatten().sort().values[round(QUANTILE * 1000) - 1]
    torch.testing.assert_close(bounded[0], gradient[0].clamp(-top, top) * 0.1 / top)
    kept = gradient[1].abs() <= 0.1
    assert torch.equal(bounded[1][kept], gradient[1][kept])  # below m: only what is above is cut
    assert bool(((taken > 0) & (taken <= 1)).all())
    plain = clamped(gradient, 0.1)[0]
    rest = lambda rows: float(rms(rows[:1, :, 1:])[0])  # noqa: E731
    assert rest(bounded) > 5 * rest(plain)  # one hot spot does not steal the length


@pytest.mark.parametrize("by", ["rms", "dynamic"])
def test_no_clamp_takes_nothing(by):
    gradient = doubles(5, 2, 1, 4, 4).float()
    for most in (0, 1e6):
        bounded, taken = clamped(gradient, most, by)
        assert torch.equal(bounded, gradient) and bool((taken == 0).all())
    small = clamped(gradient, 0.01, by)[0]
    assert small.dtype == torch.float32
    assert torch.equal(clamped(gradient[1:], 0.01, by)[0], small[1:])


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="combine is one of sum"):
        shares(*geometry(GRADIENTS), WEIGHTS, "mean")  # type: ignore[arg-type]
