"""The guidance profile of a render: what every term did, by frame and call, as a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artdiff.errors import PresetError
from artdiff.files import save_bytes
from artdiff.plan import Plan
from artdiff.timeline import FrameJob

if TYPE_CHECKING:
    from artdiff.guidance.terms import Look

__all__ = ["GuidanceProfile", "check_profiled", "profile_path"]

Call = dict[str, Any]
"""One call of the guided denoiser for one frame; lists follow the terms."""


class GuidanceProfile:
    """Looks at the guidance of frames, gathered while they are drawn.

    Attributes:
        terms: the labels of the terms that have a loss.
        frames: the calls of each frame in the order in which the sampler made them. A call has
            ``fraction``, of noise; for each term ``loss`` (null where its weight was 0), ``norm``
            and ``share``; ``cosine`` between each two; and ``rms``, ``clamped`` and ``moved``;
            see `artdiff.guidance.guide.Look`.
    """

    def __init__(self) -> None:
        self.terms: tuple[str, ...] = ()
        self.frames: dict[int, list[Call]] = {}

    def see(self, jobs: Sequence[FrameJob], look: Look) -> None:
        """Take one look; its rows are the frames of the jobs."""
        self.terms = look.names
        parts = {
            "loss": look.losses, "norm": look.norms, "share": look.shares, "cosine": look.cosines,
            "rms": look.rms, "clamped": look.clamped, "moved": look.moved,
        }  # fmt: skip
        for row, job in enumerate(jobs):
            call = {key: _plain(values[row].tolist()) for key, values in parts.items()}
            calls = self.frames.setdefault(job.index, [])
            calls.append({"fraction": _plain(look.fraction), **call})

    def write(self, path: Path, key: str) -> None:
        """Write the profile; frames that the file has already, of the same key, stay in it.

        Without a frame that was seen, the file stays as it is.

        :param key: names the settings of the render.
        :raises MachineError: the machine cannot.
        """
        if not self.frames:
            return
        frames = {str(index): calls for index, calls in self.frames.items()}
        frames = _read(path, key, self.terms) | frames
        self.frames = {int(index): calls for index, calls in frames.items()}
        ordered = {str(index): self.frames[index] for index in sorted(self.frames)}
        record = {"key": key, "terms": list(self.terms), "frames": ordered}
        save_bytes(path, (json.dumps(record, allow_nan=False) + "\n").encode())


def check_profiled(plan: Plan) -> None:
    """Make sure that there is guidance to profile.

    :raises PresetError: no term of the plan has a loss.
    """
    if not any(hasattr(chosen.kind, "loss") for chosen in plan.terms):
        raise PresetError(
            f"--profile-guidance: {plan.name} has no [terms] with a loss; "
            "`artdiff plugins list` names the guidance that there is"
        )


def profile_path(target: Path | None, folder: Path) -> Path:
    """Where the profile of a render lies: beside its film or picture, else among its frames."""
    return folder / "guidance.json" if target is None else target.with_suffix(".guidance.json")


def _read(path: Path, key: str, terms: Sequence[str]) -> dict[str, list[Call]]:
    """The frames of an earlier profile of the same render; none of a damaged file."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    same = isinstance(record, dict) and record.get("key") == key
    return record.get("frames", {}) if same and record.get("terms") == list(terms) else {}


def _plain(value: Any) -> Any:
    """Numbers as JSON says them, of six digits; NaN is null."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(f"{value:.6g}") if math.isfinite(value) else None
