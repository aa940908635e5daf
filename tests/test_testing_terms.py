"""The conformance kit catches bad guidance."""

import random

import numpy as np
import pytest
import torch
from conforming import Options, wrong
from pydantic import BaseModel

from artdiff.testing import (
    check_guidance,
)


class Good:
    Options = Options

    def __init__(self, options, setup):
        self.options, self.setup = options, setup

    def loss(self, x0, at, noise):
        shift = noise.uniform(x0[:, :1, :1, :1], "good.shift")
        return ((self.setup.decode(x0) - self.options.target - shift / 9) ** 2).mean((1, 2, 3))


class MixesRows(Good):
    def loss(self, x0, at, noise):
        return ((x0 - x0.mean()) ** 2).mean((1, 2, 3))


class NormOverBatch(Good):
    """Each row's value is right; the gradient is not its own."""

    def loss(self, x0, at, noise):
        own = (x0**2).mean((1, 2, 3))
        return own + (own.sum() - own.sum().detach()) * 0.1


class Scalar(Good):
    def loss(self, x0, at, noise):
        return (x0**2).mean()


class GlobalTorch(Good):
    def loss(self, x0, at, noise):
        return ((x0 - torch.rand(1).to(x0)) ** 2).mean((1, 2, 3))


class GlobalNumpy(Good):
    def loss(self, x0, at, noise):
        return ((x0 - np.random.rand()) ** 2).mean((1, 2, 3))


class GlobalPython(Good):
    def __init__(self, options, setup):
        super().__init__(options, setup)
        self.goal = random.random()


class Unseeded(Good):
    def loss(self, x0, at, noise):
        return ((x0 - np.random.default_rng().random()) ** 2).mean((1, 2, 3))


class Counts(Good):
    calls = 0

    def loss(self, x0, at, noise):
        self.calls += 1
        return (x0**2).mean((1, 2, 3)) * self.calls


class Detached(Good):
    def loss(self, x0, at, noise):
        weight = x0.detach() ** 2
        return (weight * x0).sum((1, 2, 3))


class Constant(Good):
    def loss(self, x0, at, noise):
        return torch.zeros(len(x0))


class SingleOnly(Good):
    def __init__(self, options, setup):
        with torch.inference_mode(False):
            self.filter = torch.ones(3, 3, 1, 1)

    def loss(self, x0, at, noise):
        return torch.conv2d(x0, self.filter).square().mean((1, 2, 3))


class MakesTensors(Good):
    def __init__(self, options, setup):
        with torch.inference_mode():
            self.goal = torch.full((3, 32, 32), 0.3)

    def loss(self, x0, at, noise):
        return (x0 * self.goal).mean((1, 2, 3))


class Noisy(Good):
    """A loss of noisy pictures: in pure noise it must not be shown clean ones."""

    sees = "x"

    def loss(self, x0, at, noise):
        assert at.alpha > 0 or float(x0.std()) > 0.9
        return ((x0 - at.alpha.to(x0) * 0.2) ** 2).mean((1, 2, 3))


class SeesBoth(Good):
    sees = "both"


class InPlace(Good):
    def loss(self, x0, at, noise):
        return x0.clamp_(-0.5, 0.5).square().mean((1, 2, 3))


class ClampsInPlace(Good):
    """Toy pictures lie between -1 and 1 already."""

    def loss(self, x0, at, noise):
        return x0.clamp_(-1, 1).square().mean((1, 2, 3))


class Framed(Good):
    per_frame = True

    def __init__(self, options, setup):
        self.share = 0.1 + setup.job.index / 10

    def loss(self, x0, at, noise):
        return (x0 * self.share).square().mean((1, 2, 3))


class FramedAndMixed(Framed):
    def loss(self, x0, at, noise):
        return (x0 - x0.mean()).square().mean((1, 2, 3)) * self.share


class DividesByAlpha(Good):
    def loss(self, x0, at, noise):
        return (x0 / at.alpha.to(x0)).square().mean((1, 2, 3))


class Root(Good):
    def loss(self, x0, at, noise):
        return x0.square().sum((1, 2, 3)).sqrt()


class Raises(Good):
    def loss(self, x0, at, noise):
        raise KeyError("nobody")


class DividesByZero(Good):
    """Fails in pure noise only; its rows are mixed elsewhere too."""

    def loss(self, x0, at, noise):
        return (x0 - x0.mean()).square().mean((1, 2, 3)) * (1 / float(at.alpha))


class ThreeOnly(Good):
    def loss(self, x0, at, noise):
        return x0.square().mean((1, 2, 3)) * torch.ones(3).reshape(len(x0)) + random.random()


class NotZero(Good):
    def loss(self, x0, at, noise):
        if not x0.any():
            raise ValueError("an empty picture")
        return (x0**2).mean((1, 2, 3))


class OnlyOnce(Good):
    made = 0

    def __init__(self, options, setup):
        super().__init__(options, setup)
        OnlyOnce.made += 1
        if OnlyOnce.made > 1:
            raise RuntimeError("made already")


class Undescribed(Good):
    class Options(BaseModel):
        target: float = 0.2


def test_a_good_guidance_has_no_findings():
    assert check_guidance(Good) == []
    assert check_guidance(Good, {"target": 0.5}) == []
    assert check_guidance(Noisy) == []
    assert check_guidance(Framed) == []


@pytest.mark.parametrize(("kind", "checks"), [
    (MixesRows, {"rows"}),
    (NormOverBatch, {"rows"}),
    (Scalar, {"shape"}),
    (GlobalTorch, {"global random", "repeatable"}),
    (GlobalNumpy, {"global random", "repeatable"}),
    (GlobalPython, {"global random"}),
    (Unseeded, {"repeatable"}),
    (Counts, {"repeatable"}),
    (Detached, {"gradient"}),
    (Constant, {"gradient"}),
    (SingleOnly, {"dtype"}),
    (MakesTensors, {"inference mode"}),
    (SeesBoth, {"sees"}),
    (InPlace, {"in place"}),
    (ClampsInPlace, {"in place"}),
    (FramedAndMixed, {"rows"}),
    (DividesByAlpha, {"finite"}),
    (Root, {"plain picture"}),
    (Raises, {"runs"}),
    (DividesByZero, {"runs", "rows"}),
    (ThreeOnly, {"runs", "repeatable"}),
    (NotZero, {"runs"}),
    (OnlyOnce, {"runs"}),
    (Undescribed, {"options", "description"}),
], ids=lambda v: getattr(v, "__name__", ""))  # fmt: skip
def test_a_bad_guidance_is_caught(kind, checks):
    findings = check_guidance(kind, name="bad")
    assert checks <= wrong(findings), [str(f) for f in findings]
    for finding in findings:
        assert "\n" not in str(finding) and "'bad'" in str(finding) and finding.wrong
        assert finding.mend or finding.level == "note"


@pytest.mark.parametrize("kind", [Detached, NormOverBatch, MakesTensors, InPlace, Root])
def test_nothing_else_is_said_of_it(kind):
    assert len(wrong(check_guidance(kind))) == 1, [str(f) for f in check_guidance(kind)]


class Blur:
    Options = Options

    def __init__(self, options, setup):
        pass

    def __call__(self, x0, x, at, noise):
        return (x0 + x0.flip(3)) / 2


class BlursRows(Blur):
    def __call__(self, x0, x, at, noise):
        return x0 / x0.std().clamp(min=1e-3)


class BlursInPlace(Blur):
    def __call__(self, x0, x, at, noise):
        return x0.clamp_(-0.1, 0.1)


class BlursAtRandom(Blur):
    def __call__(self, x0, x, at, noise):
        return x0 + torch.randn_like(x0)


class Halves(Blur):
    def __call__(self, x0, x, at, noise):
        return x0.bfloat16()


class BlursThree(Blur):
    def __call__(self, x0, x, at, noise):
        return (x0 * torch.ones(3).reshape(len(x0), 1, 1, 1) + random.random()).float()


class BlursByAlpha(Blur):
    def __call__(self, x0, x, at, noise):
        return (x0 - x0.mean()) * (1 / float(at.alpha))


class Shrinks(Blur):
    def __call__(self, x0, x, at, noise):
        return x0[..., ::2]


def test_projections():
    assert check_guidance(Blur) == []
    assert wrong(check_guidance(BlursRows)) == {"rows"}
    assert "in place" in wrong(check_guidance(BlursInPlace))
    assert {"global random", "repeatable"} <= wrong(check_guidance(BlursAtRandom))
    assert "dtype" in wrong(check_guidance(Halves))
    assert wrong(check_guidance(Shrinks)) == {"shape"}
    assert wrong(check_guidance(BlursThree)) >= {"runs", "repeatable", "dtype"}
    assert wrong(check_guidance(BlursByAlpha)) == {"runs", "rows"}
    runs = next(f for f in check_guidance(BlursByAlpha) if f.check == "runs")
    assert "ZeroDivisionError" in str(runs) and "at.alpha = 0" in str(runs)


class Tidies(Good):
    def finish(self, picture, job):
        return 255 - picture


class TidiesInPlace(Good):
    def finish(self, picture, job):
        picture += 1
        return picture


class TidiesInFloat(Good):
    def finish(self, picture, job):
        return picture * 0.5


class TidiesOnce(Good):
    tidy = False

    def finish(self, picture, job):
        self.tidy = not self.tidy
        return 255 - picture if self.tidy else picture


class TidiesNothing(Good):
    def finish(self, picture, job):
        return picture[self.options.nothing]


@pytest.mark.parametrize(("kind", "checks"), [
    (Tidies, set()), (TidiesInPlace, {"in place"}), (TidiesInFloat, {"dtype"}),
    (TidiesOnce, {"repeatable"}), (TidiesNothing, {"runs"}),
])  # fmt: skip
def test_what_a_term_does_at_last_is_checked_like_an_effect(kind, checks):
    assert wrong(check_guidance(kind)) == checks
