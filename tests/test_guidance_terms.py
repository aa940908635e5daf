"""Several terms at once: modes, clamps, courses, terms that see x, looks, and errors' names."""

import math

import pytest
import torch

from artdiff.curve import Curve
from artdiff.denoise import GaussianDenoiser
from artdiff.errors import ModelError, PluginError
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide
from artdiff.noise import Flow, Level
from artdiff.random import Noise

MEAN = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
GAUSSIAN = GaussianDenoiser(MEAN, torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64))
NOISE = Noise([0, 1, 2, 3])
AT = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
MODES = ["sum", "balanced", "projected", "priority"]
THROUGH = pytest.mark.parametrize("through", ["denoiser", "x0"])


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


X = normal(4, 3)


def near(*target):
    wanted = torch.tensor(target, dtype=torch.float64)
    return lambda x0, at, noise: ((x0 - wanted.to(x0)) ** 2).sum(1) / 2


def bright(x0, at, noise):
    return -(x0 * noise.uniform(x0, "lamps")).sum(1)


def curved(x, at, cond):
    """A denoiser whose Jacobian is neither diagonal nor symmetric."""
    return torch.tanh(x @ torch.tensor([[1.0, 0.3, 0], [0, 0.5, -0.8], [0.2, 0, 1]]).double())


class Counted:
    def __init__(self, loss):
        self.loss, self.calls = loss, 0

    def __call__(self, x0, at, noise):
        self.calls += 1
        return self.loss(x0, at, noise)


TERMS = [
    Term(near(1, 0, -1), 0.5, "near"),
    Term(bright, torch.tensor([0.0, 1.0, -2.0, 3.0]), "bright"),
    Term(near(-3, 2, 2), 0.3, "noisy", sees="x"),
    Term(near(0, 0, 5), 0.2, "far"),
]


def bend(terms=TERMS, rows=range(4), denoiser=curved, at=AT, **rules):
    rows = list(rows)
    noise = Noise([NOISE.seeds[row] for row in rows])
    terms = [
        Term(
            t.loss,
            t.weight[rows] if isinstance(t.weight, torch.Tensor) else t.weight,
            t.name, t.sees, t.course,
        )
        for t in terms
    ]  # fmt: skip
    with torch.no_grad():
        return guide(denoiser, terms, noise=noise, **rules)(X[rows], at, {})


@THROUGH
def test_sum_by_parts_is_sum_in_one_pass(through):
    """PCGrad of gradients that do not conflict goes the other way round, to the same place."""
    agreeing = [Term(near(-9, 9, 9), 0.1 * k, sees=sees) for k, sees in ((1, "x0"), (2, "x"))]
    one, many = (bend(agreeing, through=through, combine=c) for c in ("sum", "projected"))
    torch.testing.assert_close(many, one, rtol=1e-12, atol=1e-12)


def test_one_backward_pass_through_the_denoiser():
    class Square(torch.autograd.Function):
        passes = 0

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, grad):
            Square.passes += 1
            return 2 * ctx.saved_tensors[0] * grad

    for rules in ({"combine": mode} for mode in MODES):
        Square.passes = 0
        bend(denoiser=lambda x, at, cond: Square.apply(x), watch=print, **rules)
        assert Square.passes == 1


@THROUGH
@pytest.mark.parametrize("combine", MODES)
@pytest.mark.parametrize("clamp", [{}, {"clamp": 0.3}, {"clamp": 0.3, "clamp_by": "dynamic"}])
def test_rows_are_independent(combine, through, clamp):
    rules = {"combine": combine, "through": through, **clamp}
    whole = bend(**rules)
    alone = torch.cat([bend(rows=[row], **rules) for row in range(4)])
    torch.testing.assert_close(alone, whole, rtol=1e-12, atol=1e-12)
    assert bool((bend(**rules) == whole).all())


@THROUGH
@pytest.mark.parametrize("combine", ["sum", "balanced"])
def test_the_order_of_terms_does_not_matter(combine, through):
    rules = {"combine": combine, "through": through, "clamp": 0.5}
    turned = bend(TERMS[::-1], **rules)
    torch.testing.assert_close(turned, bend(**rules), rtol=1e-12, atol=1e-12)


def test_priority_minds_the_order():
    assert not torch.allclose(bend(combine="priority"), bend(TERMS[::-1], combine="priority"))


@THROUGH
@pytest.mark.parametrize("combine", MODES)
def test_watching_changes_no_bit(combine, through):
    looks = []
    rules = {"combine": combine, "through": through, "clamp": 0.2}
    seen = bend(watch=looks.append, **rules)
    assert torch.equal(seen, bend(**rules)) and len(looks) == 1


# Terms that see x.


def closed(x, at, cond):
    return GAUSSIAN(x.detach(), at, cond)


@THROUGH
def test_a_term_that_sees_x_is_classifier_guidance(through):
    """eps <- eps + sigma grad_x loss: Algorithm 2 of arXiv 2105.05233 with log p = -loss."""
    loss = near(2, 2, 2)
    leaf = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(0.7 * loss(leaf, AT, NOISE).sum(), leaf)
    eps = (X - AT.alpha * GAUSSIAN(X, AT, {})) / AT.sigma + AT.sigma * slope
    expected = (X - AT.sigma * eps) / AT.alpha
    # the denoiser is not differentiated, and need not be able to be
    found = bend([Term(loss, 0.7, sees="x")], denoiser=closed, through=through)
    torch.testing.assert_close(found, expected)


@THROUGH
def test_both_kinds_add_up(through):
    each = [bend([term], through=through) - curved(X, AT, {}) for term in TERMS]
    torch.testing.assert_close(bend(through=through), curved(X, AT, {}) + sum(each))


@THROUGH
def test_in_pure_noise_a_term_that_sees_x_rests(through):
    at, term = levels(Flow(), 2)[0], Counted(near(1, 1, 1))
    found = bend([Term(term, sees="x")], at=at, denoiser=GAUSSIAN, through=through)
    assert term.calls == 0 and torch.equal(found, MEAN.expand(4, 3))


def test_balanced_terms_of_both_kinds_move_x0_as_far():
    """Of one weight, through x0: the two changes have one length."""
    terms = [Term(near(9, 9, 9)), Term(near(-1, 5, 0), sees="x")]
    moved = []
    for chosen in ([terms[0]], [terms[1]]):
        moved.append(bend(chosen, through="x0") - curved(X, AT, {}))
    whole = bend(terms, through="x0", combine="balanced") - curved(X, AT, {})
    lengths = [m.norm(dim=1, keepdim=True) for m in moved]
    common = (lengths[0] + lengths[1]) / 2
    expected = sum(m / length * common for m, length in zip(moved, lengths, strict=True))
    torch.testing.assert_close(whole, expected)


def test_what_a_term_sees_is_checked():
    with pytest.raises(ValueError, match="sees 'x0' or 'x', not 'both'"):
        Term(near(0, 0, 0), sees="both")  # type: ignore[arg-type]


# Weights and courses.


def test_a_course_multiplies_the_weight_by_progress():
    course = Curve.parse({"0%": 0.0, "30%": 1.0, "100%": 0.2})
    assert [course.along(p) for p in (0, 0.15, 0.3, 0.65, 1)] == pytest.approx(
        [0, 0.5, 1, 0.6, 0.2]
    )
    for at in levels(Flow(), 8)[1:-1]:
        factor = course.along(1 - float(at.fraction))
        with_course = bend([Term(bright, 0.4, course=course.along)], at=at)
        torch.testing.assert_close(with_course, bend([Term(bright, 0.4 * factor)], at=at))


@THROUGH
@pytest.mark.parametrize("combine", MODES)
def test_a_term_of_no_weight_is_not_called(combine, through):
    late, never = Counted(bright), Counted(bright)
    terms = [
        Term(near(1, 1, 1)),
        Term(late, course=lambda progress: float(progress > 0.9)),
        Term(never, torch.zeros(4)),
    ]
    rules = {"combine": combine, "through": through}
    torch.testing.assert_close(bend(terms, **rules), bend(terms[:1], **rules))
    assert late.calls == never.calls == 0
    bend(terms, at=levels(Flow(), 100)[-2], **rules)
    assert late.calls == 1 and never.calls == 0


def test_without_an_active_term_the_denoiser_is_not_differentiated():
    def watchful(x, at, cond):
        assert not torch.is_grad_enabled()
        return GAUSSIAN(x, at, cond)

    terms = [Term(bright, course=lambda progress: 0.0), Term(bright, 0.0, sees="x")]
    assert torch.equal(bend(terms, denoiser=watchful), GAUSSIAN(X, AT, {}))
    bend([Term(bright, 1.0, sees="x")], denoiser=watchful)
    bend([Term(bright, 1.0)], denoiser=watchful, through="x0")


def test_a_course_that_gives_no_number_is_refused():
    with pytest.raises(ValueError, match="course of guidance 'lamps' gives nan"):
        bend([Term(bright, name="lamps", course=lambda progress: math.nan)])


# Clamps.


def test_clamp_is_disco_diffusions_on_the_gradient_to_x():
    for clamp in (1e-3, 0.05, 100):
        gradient = (curved(X, AT, {}) - bend()) * AT.alpha / AT.sigma**2
        magnitude = gradient.square().mean(1, keepdim=True).sqrt()
        bounded = gradient * magnitude.clamp(max=clamp) / magnitude
        expected = curved(X, AT, {}) - AT.sigma**2 / AT.alpha * bounded
        torch.testing.assert_close(bend(clamp=clamp), expected)


def test_through_x0_the_clamp_bounds_the_change():
    moved = curved(X, AT, {}) - bend(through="x0", clamp=0.05)
    assert float(moved.square().mean(1).sqrt().max()) <= 0.05 * 0.64 + 1e-9
    free = curved(X, AT, {}) - bend(through="x0")
    torch.testing.assert_close(
        torch.cosine_similarity(moved, free), torch.ones(4, dtype=torch.float64)
    )


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"through": "latent"}, "through is one of 'denoiser', 'x0', not 'latent'"),
        ({"combine": "mean"}, "combine is one of 'sum', 'balanced'"),
        ({"clamp_by": "max"}, "clamp_by is one of 'rms', 'dynamic', not 'max'"),
        ({"clamp": -1.0}, "clamp is 0 or more, not -1"),
        ({"clamp": math.nan}, "clamp is 0 or more, not nan"),
    ],
)
def test_rules_are_checked(rules, message):
    with pytest.raises(ValueError, match=message):
        guide(GAUSSIAN, noise=NOISE, **rules)


# Looks.


@THROUGH
def test_a_look_says_what_each_term_did(through):
    looks = []
    rest = Term(bright, 0.0, "rest")
    terms = [TERMS[0], rest, TERMS[2], TERMS[3]]
    found = bend(terms, through=through, combine="priority", clamp=0.1, watch=looks.append)
    (look,) = looks
    assert look.names == ("near", "rest", "noisy", "far")
    assert look.fraction == pytest.approx(0.8 / 1.4)
    x0 = curved(X, AT, {})
    torch.testing.assert_close(look.losses[:, 0], near(1, 0, -1)(x0, AT, NOISE))
    torch.testing.assert_close(look.losses[:, 2], near(-3, 2, 2)(X, AT, NOISE))
    slopes = [
        0.5 * (x0 - torch.tensor([1.0, 0, -1])),
        0.3 * (X - torch.tensor([-3.0, 2, 2])) / 0.6,  # alpha**2 + sigma**2 = 1
        0.2 * (x0 - torch.tensor([0.0, 0, 5])),
    ]
    for place, slope in zip((0, 2, 3), slopes, strict=True):
        torch.testing.assert_close(look.norms[:, place], slope.square().mean(1).sqrt())
        torch.testing.assert_close(
            look.cosines[:, 0, place], torch.cosine_similarity(slopes[0], slope)
        )
    assert bool(look.losses[:, 1].isnan().all() & (look.norms[:, 1] == 0).all())
    assert bool((look.cosines[:, 1] == 0).all())
    if through == "x0":
        taken = look.shares[:, [0, 2, 3]].unbind(1)
        whole = sum(c[:, None] * slope for c, slope in zip(taken, slopes, strict=True))
        torch.testing.assert_close(look.rms, whole.square().mean(1).sqrt())
    torch.testing.assert_close(look.moved, (found - x0).square().mean(1).sqrt())
    torch.testing.assert_close(look.rms * (1 - look.clamped), look.rms.clamp(max=0.1))
    assert bool((look.clamped > 0).any())


def test_a_call_where_no_term_acts_is_looked_at_too():
    looks = []
    bend([Term(bright, 0.0, "off")], watch=looks.append)
    assert looks[0].names == ("off",) and bool(looks[0].losses.isnan().all())
    assert bool((looks[0].moved == 0).all()) and looks[0].cosines.shape == (4, 1, 1)
    guide(GAUSSIAN, projections=[lambda x0, x, at, noise: x0], noise=NOISE, watch=looks.append)(
        X, AT, {}
    )
    assert len(looks) == 1  # no losses, no look


def test_a_label_is_what_a_look_says():
    looks = []
    terms = [Term(near(1, 1, 1), name="near of plugin looks", label="near")]
    guide(GAUSSIAN, terms, noise=NOISE, watch=looks.append)(X, AT, {})
    assert looks[0].names == ("near",)


# Errors.

BROKEN = [
    (lambda x0, at, noise: 3.0, "shape float"),
    (lambda x0, at, noise: x0.mean(), "shape"),
    (lambda x0, at, noise: x0.sum(1) * math.nan, "loss is not finite"),
    (lambda x0, at, noise: (x0 * 0).sum(1).sqrt(), "gradient is not finite"),
    (lambda x0, at, noise: x0.detach().sum(1), "does not depend on"),
]


@pytest.mark.parametrize("combine", MODES)
@pytest.mark.parametrize("sees", ["x0", "x"])
@pytest.mark.parametrize(("loss", "message"), BROKEN)
def test_a_broken_loss_is_named_and_no_other(loss, message, sees, combine):
    terms = [Term(near(1, 1, 1), name="good"), Term(loss, name="bad", sees=sees)]
    with pytest.raises(PluginError, match=f"^guidance 'bad': .*{message}"):
        bend(terms, combine=combine)


@pytest.mark.parametrize("combine", MODES)
def test_a_loss_of_its_own_weights_alone_is_named(combine):
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    own = Term(lambda x0, at, noise: (x0.detach() * weight).sum(1), name="own")
    with pytest.raises(PluginError, match=r"'own'.*does not depend on x0"):
        bend([own], combine=combine)


def test_a_denoiser_whose_gradient_is_not_finite_is_not_the_terms_fault():
    def rough(x, at, cond):
        return (x * 0).sqrt() + x

    with pytest.raises(ModelError, match="gradient through this denoiser is not finite"):
        bend([Term(near(1, 1, 1))], denoiser=rough)
    bend([Term(near(1, 1, 1))], denoiser=rough, through="x0")


def test_terms_share_what_they_decode():
    """Two losses of one decoded picture, whose graph serves both backward passes."""
    seen = []

    def decoded(x0):
        if not seen or seen[0][0] is not x0:
            seen[:] = [(x0, x0.exp())]
        return seen[0][1]

    terms = [
        Term(lambda x0, at, noise: decoded(x0).sum(1)),
        Term(lambda x0, at, noise: -decoded(x0).square().sum(1)),
    ]
    for combine in MODES:
        bend(terms, combine=combine, watch=lambda look: None)
