"""What a check says: findings, one line each, and the tools that all checks share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from artdiff.errors import ArtdiffError

__all__ = ["Finding", "Report"]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        kind: what was checked: ``guidance``, ``sampler``, ``effect``, ``dataset``, ...
        name: under which name the plugin offers it.
        check: which check found it, such as ``rows``, ``gradient`` or ``global random``.
        wrong: what is wrong.
        mend: what to do about it.
        level: ``wrong`` for what must be mended, ``note`` for what was not checked.
    """

    kind: str
    name: str
    check: str
    wrong: str
    mend: str = ""
    level: Literal["wrong", "note"] = "wrong"

    def __str__(self) -> str:
        text = f"{self.level}: {self.kind} {self.name!r} [{self.check}]: {self.wrong}"
        return " ".join(f"{text}; {self.mend}".split()) if self.mend else " ".join(text.split())


@dataclass
class Report:
    """Gathers the findings about one thing."""

    kind: str
    name: str
    findings: list[Finding] = field(default_factory=list)

    def wrong(self, check: str, wrong: str, mend: str) -> None:
        """Note what must be mended, once for each check."""
        if not any(f.check == check and f.level == "wrong" for f in self.findings):
            self.findings.append(Finding(self.kind, self.name, check, wrong, mend))

    def note(self, check: str, wrong: str, mend: str = "") -> None:
        """Note what could not be checked."""
        self.findings.append(Finding(self.kind, self.name, check, wrong, mend, "note"))

    @contextmanager
    def guard(self, check: str, mend: str) -> Iterator[None]:
        """Turn an error of the plugin's code into a finding."""
        try:
            yield
        except Exception as error:
            self.wrong(check, said(error), mend)

    @contextmanager
    def random(self, what: str, networks: bool = False) -> Iterator[None]:
        """Find out whether a random number comes from a generator that everybody shares.

        With `networks`, torch's own is allowed: making a network draws weights from it, which
        loading then replaces. `repeats` finds out whether it matters.
        """
        before = _states()
        yield
        after = _states()
        used = [name for name in before if before[name] != after[name]]
        used = [name for name in used if not (networks and name.startswith("torch"))]
        if used:
            self.wrong(
                "global random",
                f"{what} draws from {' and '.join(used)}, which everything shares",
                "draw from the noise by a stream of its own, noise.normal(like, 'my-plugin'), "
                "or from artdiff.Noise([seed], step)",
            )

    def unmade(self, error: Exception) -> None:
        """Say that a constructor failed: a note where a file or a package is missing."""
        if isinstance(error, ArtdiffError | ImportError | OSError):
            self.note("not checked", f"it could not be made: {said(error)}")
        else:
            self.wrong("runs", f"its constructor failed: {said(error)}", "mend its __init__")


def said(error: BaseException) -> str:
    """An error on one line."""
    if isinstance(error, ArtdiffError):
        return str(error)
    text = " ".join(str(error).split())
    text = text if len(text) < 300 else text[:300] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def make_options(
    report: Report, kind: Any, values: dict[str, Any] | BaseModel | None
) -> BaseModel | None:
    """The options of a class by its defaults and some values; None, with a finding, if bad."""
    options = getattr(kind, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        report.wrong("options", "has no options", "add class Options(BaseModel, extra='forbid')")
        return None
    if options.model_config.get("extra") != "forbid":
        report.wrong(
            "options",
            "takes unknown keys silently",
            "write class Options(BaseModel, extra='forbid')",
        )
    for name, entry in options.model_fields.items():
        if not entry.description:
            report.wrong(
                "description",
                f"the option {name!r} is not described",
                "give it Field(..., description='...'), which the documentation shows",
            )
    if isinstance(values, BaseModel):
        return values
    missing = [n for n, f in options.model_fields.items() if f.is_required()]
    missing = [name for name in missing if name not in (values or {})]
    if missing:
        report.note(
            "not checked",
            f"the option {missing[0]!r} has no default",
            f"call the check with options={{{report.name!r}: {{{missing[0]!r}: ...}}}}",
        )
        return None
    try:
        return options(**(values or {}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        report.wrong(
            "options", f"refuses {key}: {first['msg']}", "mend the defaults, or the values"
        )
        return None


def same(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether two tensors agree, relative to the larger one."""
    if a.shape != b.shape:
        return False
    a, b = a.detach().double(), b.detach().double()
    if not a.numel():
        return True
    scale = max(float(a.abs().max()), float(b.abs().max()), 1e-6)
    return bool((a - b).abs().max() <= tolerance * scale)


def repeats(
    report: Report, what: str, make: Callable[[], Any], equal: Callable[..., bool]
) -> None:
    """Compare two runs under differing global seeds, and leave the global state as it was."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        results = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            results.append(make())
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
    if not equal(*results):
        report.wrong(
            "repeatable",
            f"{what} gives other values when it is asked again",
            "let it depend on its arguments alone: no clock, no unseeded generator, no state kept",
        )


def _states() -> dict[str, Any]:
    legacy: Any = np.random.get_state()
    return {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": (legacy[1].tobytes(), legacy[2]),
        "the module random": random.getstate(),
    }
