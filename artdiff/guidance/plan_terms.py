"""The guidance terms of a plan at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artdiff.guidance.guide import Projection, Term
from artdiff.guidance.setup import Setup
from artdiff.guidance.verdicts import accusing, at_frames, expect_finite, expect_picture, judge
from artdiff.noise import Level
from artdiff.plan import Plan
from artdiff.random import Noise
from artdiff.timeline import FrameJob

MOST_TERMS = 64
"""So many terms are kept for the next batch."""


class PlanTerms:
    """The terms of a plan, made when a frame wants them.

    :param setup: what a term may know of all frames.
    """

    def __init__(self, plan: Plan, setup: Setup) -> None:
        self._plan, self._setup = plan, setup
        self._made: dict[tuple[int, str, int | None], Any] = {}

    def of(self, jobs: Sequence[FrameJob]) -> tuple[list[Term], list[Projection]]:
        """The losses and the projections that steer a batch of jobs, one row each.

        A term whose weight is 0 in all of them is not made.

        :raises PluginError: a term cannot be made.
        """
        losses, projections = [], []
        for place, chosen in enumerate(self._plan.terms):
            if hasattr(chosen.kind, "loss"):
                losses.append(self._loss(place, jobs))
            else:
                projections.append(self._projection(place, jobs))
        return losses, projections

    def instance(self, place: int, job: FrameJob) -> Any:
        """The term that serves a frame: one for each set of option values, or for each frame.

        :param place: of the term among those of the plan.
        :raises PluginError: it cannot be made.
        """
        chosen = self._plan.terms[place]
        with accusing("guidance", chosen):
            values = chosen.options.__class__.model_validate(dict(job.terms[place].options))
            own = getattr(chosen.kind, "per_frame", False)
            key = (place, values.model_dump_json(), job.index if own else None)
            if key not in self._made:
                while len(self._made) >= MOST_TERMS:
                    self._made.pop(next(iter(self._made)))
                setup = replace(self._setup, job=job) if own else self._setup
                with torch.inference_mode(False):
                    self._made[key] = chosen.kind(values, setup)
            return self._made[key]

    def finish(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        """Let the terms that can mend a finished picture, uint8 (H, W, 3).

        :raises PluginError: one of them failed.
        """
        for place, chosen in enumerate(self._plan.terms):
            if hasattr(chosen.kind, "finish") and job.terms[place].weight:
                with at_frames([job]), accusing("guidance", chosen):
                    picture = self.instance(place, job).finish(picture, job)
                    expect_picture("guidance", chosen, picture)
        return picture

    def _groups(self, place: int, jobs: Sequence[FrameJob]) -> list[tuple[Any, list[int]]]:
        """The instances of a term, with the rows that each serves."""
        groups: dict[int, tuple[Any, list[int]]] = {}
        for row, job in enumerate(jobs):
            term = self.instance(place, job)
            groups.setdefault(id(term), (term, []))[1].append(row)
        return list(groups.values())

    def _loss(self, place: int, jobs: Sequence[FrameJob]) -> Term:
        chosen, weight = self._plan.terms[place], _weights(place, jobs)
        groups = self._groups(place, jobs) if weight.any() else []

        def loss(x0: Tensor, at: Level, noise: Noise) -> Tensor:
            if len(groups) == 1:
                return judge(chosen, groups[0][0], x0, at, noise)
            values = x0.new_zeros(len(x0))
            for term, rows in groups:
                judged = judge(chosen, term, x0[rows], at, _rows(noise, rows))
                values = values.index_put((torch.tensor(rows),), judged.to(values))
            return values

        return Term(
            loss,
            weight,
            f"{chosen.label} of plugin {chosen.plugin}",
            sees=getattr(chosen.kind, "sees", "x0"),
            course=self._plan.courses[place].along,
            label=chosen.label,
        )

    def _projection(self, place: int, jobs: Sequence[FrameJob]) -> Projection:
        chosen, weight = self._plan.terms[place], _weights(place, jobs)
        groups = self._groups(place, jobs) if weight.any() else []
        course = self._plan.courses[place].along

        def project(x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
            share = weight.to(x0) * course(1 - float(at.fraction))
            if not share.any():
                return x0
            done = x0.clone()
            for term, rows in groups:
                with accusing("guidance", chosen):
                    changed = term(x0[rows], x[rows], at, _rows(noise, rows))
                expect_finite(chosen, changed, "x0", x0[rows].shape)
                done[rows] = changed.to(done)
            return x0 + share.view(-1, 1, 1, 1) * (done - x0)

        return project


def _weights(place: int, jobs: Sequence[FrameJob]) -> Tensor:
    """How strongly a term leads each row, (B,)."""
    return torch.tensor([job.terms[place].weight for job in jobs])


def _rows(noise: Noise, rows: Sequence[int]) -> Noise:
    return Noise([noise.seeds[row] for row in rows], noise.step)
