"""One call of a guided denoiser: which losses act, their gradients, and the bent x0.

The mathematics is that of `artdiff.guidance.guide.guide`, whose inside this is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from artdiff.denoise import Answer, Conditioning
from artdiff.errors import ModelError, PluginError
from artdiff.guidance.gradients import ClampBy, Combine, clamped, geometry, rms, shares
from artdiff.guidance.terms import Look, Term, Through
from artdiff.guiders.rows import per_row, plain
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = ["FAINT", "Active", "Rules", "active_terms", "bent", "look_of"]

FAINT = 0.005
"""alpha / sigma below which gradients with respect to x are not asked for: there sigma^2 / alpha
makes much of what a trained network gets slightly wrong."""


@dataclass(frozen=True)
class Rules:
    through: Through
    combine: Combine
    clamp: float
    clamp_by: ClampBy

    def __post_init__(self) -> None:
        kinds = {"through": Through, "combine": Combine, "clamp_by": ClampBy}
        for key, kind in kinds.items():
            value, known = getattr(self, key), get_args(kind)
            if value not in known:
                said = ", ".join(map(repr, known))
                raise ValueError(f"{key} is one of {said}, not {value!r}")
        if not 0 <= self.clamp < float("inf"):
            raise ValueError(f"clamp is 0 or more, not {self.clamp}")


@dataclass(frozen=True, eq=False)
class Active:
    """A term that acts at a level: its place among the losses, and its weight there."""

    place: int
    term: Term
    weight: float | Tensor

    def rows(self, count: int) -> Tensor:
        """The weight of each row, (B,) float64 on the CPU."""
        return torch.as_tensor(self.weight, dtype=torch.double, device="cpu").expand(count)


def active_terms(losses: Sequence[Term], x: Tensor, at: Level, through: Through) -> list[Active]:
    """The terms that act at a level."""
    found = []
    for place, term in enumerate(losses):
        factor = 1.0 if term.course is None else float(term.course(1 - float(at.fraction)))
        if not math.isfinite(factor):
            raise ValueError(f"the course of guidance {term.name!r} gives {factor}")
        weight = term.weight * factor
        per_row(weight, x, "weight")
        reaches = at.alpha >= FAINT * at.sigma or (through == "x0" and term.sees == "x0")
        if reaches and bool((torch.as_tensor(weight) != 0).any()):
            found.append(Active(place, term, weight))
    return found


def bent(
    ask: Answer,
    active: Sequence[Active],
    rules: Rules,
    x: Tensor,
    at: Level,
    cond: Conditioning,
    here: Noise,
    watched: bool,
) -> tuple[Tensor, Tensor | None, dict[str, Tensor] | None]:
    """Bend x0 by the losses that act; give f and, where it is watched, the parts of a look."""
    deep = rules.through == "denoiser" and any(each.term.sees == "x0" for each in active)
    if not deep:
        with torch.no_grad():
            x0, place = ask(x, at, cond)
    with torch.inference_mode(False), torch.enable_grad():
        at = Level(plain(at.alpha), plain(at.sigma))
        leaf = x.detach().clone().requires_grad_()
        if deep:
            x0, place = ask(leaf, at, {key: plain(value) for key, value in cond.items()})
            if not x0.requires_grad:
                raise ModelError(
                    "this denoiser cannot be differentiated; set through = 'x0' for its guidance"
                )
        else:
            x0 = x0.detach().clone().requires_grad_()  # pyright: ignore[reportPossiblyUnboundVariable]
        seen = _Seen(active, x0, leaf, at, here)
        values = seen.values()
        gradient, look = _whole(seen, values, rules, watched)
        if not bool(gradient.isfinite().all() & torch.stack(values).isfinite().all()):
            raise seen.fault(values)
        bounded, taken = clamped(gradient, rules.clamp, rules.clamp_by)
        whole = at.alpha**2 + at.sigma**2
        step = at.sigma**2 / (at.alpha if rules.through == "denoiser" else whole)
        change = step * bounded
        if look is not None:
            look |= {"rms": rms(gradient), "clamped": taken, "moved": rms(change)}
        place = place if place is None else place.detach()  # pyright: ignore[reportPossiblyUnboundVariable]
        return x0.detach() - change, place, look


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the losses judge at one call: x0, which depends on the leaf or is one, and x."""

    active: Sequence[Active]
    x0: Tensor
    x: Tensor
    at: Level
    here: Noise

    def by(self, term: Term) -> Tensor:
        """What a term sees."""
        return self.x if term.sees == "x" else self.x0

    @property
    def reach(self) -> Tensor:
        """How many times a gradient with respect to x counts beside one with respect to x0."""
        return (self.at.alpha**2 + self.at.sigma**2) / self.at.alpha

    def values(self) -> list[Tensor]:
        """The losses, (B,) each."""
        return [_judged(each.term, self.by(each.term), self.at, self.here) for each in self.active]

    def gradients(self, values: Sequence[Tensor], keep: bool) -> list[Tensor]:
        """The gradient of each weighted loss with respect to what it sees."""
        found = []
        for each, value in zip(self.active, values, strict=True):
            more = keep or value is not values[-1]  # losses may share a part, the decoded picture
            leaf = self.by(each.term)
            part = torch.autograd.grad(value.sum(), leaf, retain_graph=more, allow_unused=True)[0]
            if part is None:
                raise _independent(each.term)
            weight = per_row(each.weight, part, "weight")
            found.append(weight * part)
        return found

    def fault(self, values: Sequence[Tensor]) -> Exception:
        """The error that names the terms whose loss or gradient is not finite."""
        pairs = list(zip(self.active, values, strict=True))
        wrong, what = [e.term for e, value in pairs if not value.isfinite().all()], "loss"
        if not wrong:
            what = "gradient"
            for each in self.active:
                leaf = self.by(each.term).detach().clone().requires_grad_()
                value = _judged(each.term, leaf, self.at, self.here)
                (part,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
                if part is None:
                    return _independent(each.term)
                if not part.isfinite().all():
                    wrong.append(each.term)
        if not wrong:
            return ModelError(
                "the gradient through this denoiser is not finite (NaN or infinite); "
                "set through = 'x0' for its guidance"
            )
        names = ", ".join(repr(term.name) for term in wrong)
        return PluginError(f"guidance {names}: the {what} is not finite (NaN or infinite)")


def _whole(
    seen: _Seen, values: Sequence[Tensor], rules: Rules, watched: bool
) -> tuple[Tensor, dict[str, Tensor] | None]:
    """The combined gradient, in the space of `through`, before the clamp."""
    each, look, taken = [], None, None
    if watched or rules.combine != "sum":
        each = seen.gradients(values, keep=rules.combine == "sum")
        common = [
            part * seen.reach if act.term.sees == "x" else part
            for act, part in zip(seen.active, each, strict=True)
        ]
        norms, cosines = geometry(common)
        weights = torch.stack([act.rows(len(seen.x)) for act in seen.active], 1).to(norms)
        taken = shares(norms, cosines, weights, rules.combine)
        size = seen.x0[0].numel() ** 0.5
        stacked = torch.stack(list(values), 1).detach()
        look = {"losses": stacked, "norms": norms / size, "cosines": cosines, "shares": taken}
    if rules.combine == "sum":
        total = torch.stack(
            [
                per_row(act.weight, value, "weight") * value
                for act, value in zip(seen.active, values, strict=True)
            ]
        ).sum()
        leaves = [seen.x] if rules.through == "denoiser" else [seen.x0, seen.x]
        parts = torch.autograd.grad(total, leaves, allow_unused=True)
        if all(part is None for part in parts):
            raise seen.fault(values)
        by_x0, by_x = (None, parts[0]) if rules.through == "denoiser" else parts
    else:
        assert taken is not None
        sums: dict[str, Tensor] = {}
        for place, (act, part) in enumerate(zip(seen.active, each, strict=True)):
            more, kind = per_row(taken[:, place], part, "share") * part, act.term.sees
            sums[kind] = sums[kind] + more if kind in sums else more
        by_x0, by_x = sums.get("x0"), sums.get("x")
        if rules.through == "denoiser" and by_x0 is not None:
            (carried,) = torch.autograd.grad(seen.x0, seen.x, by_x0)
            by_x0, by_x = None, carried if by_x is None else carried + by_x
    if by_x0 is None:
        assert by_x is not None
        return (by_x if rules.through == "denoiser" else by_x * seen.reach), look
    return (by_x0 if by_x is None else by_x0 + by_x * seen.reach), look


def _judged(term: Term, seen: Tensor, at: Level, here: Noise) -> Tensor:
    """The loss of a term, (B,), a function of what it sees."""
    value = term.loss(seen, at, here)
    if not isinstance(value, Tensor) or value.shape != (len(seen),):
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        wrong = f"{found}, not ({len(seen)},): one number for each sample"
        raise PluginError(f"guidance {term.name!r}: the loss has the shape {wrong}")
    if not value.requires_grad:
        raise _independent(term)
    return value


def _independent(term: Term) -> PluginError:
    return PluginError(f"guidance {term.name!r}: the loss does not depend on {term.sees}")


def look_of(
    losses: Sequence[Term],
    active: Sequence[Active],
    look: Mapping[str, Tensor] | None,
    at: Level,
    rows: int,
) -> Look:
    """Fill the parts of a look into the places of all terms."""
    count, places = len(losses), [each.place for each in active]
    zeros = torch.zeros(rows, count, dtype=torch.double)
    parts = {"losses": zeros * float("nan"), "norms": zeros, "shares": zeros}
    parts |= {"cosines": zeros[:, :, None] * zeros[:, None]}
    parts |= dict.fromkeys(("rms", "clamped", "moved"), zeros.sum(1))
    for key, found in (look or {}).items():
        found, empty = found.to("cpu", torch.double), parts[key].clone()
        if key == "cosines":
            empty[:, torch.tensor(places)[:, None], torch.tensor(places)] = found
        elif empty.ndim == 2:
            empty[:, places] = found
        else:
            empty = found
        parts[key] = empty
    names = tuple(term.label or term.name for term in losses)
    return Look(float(at.fraction), names, **parts)
