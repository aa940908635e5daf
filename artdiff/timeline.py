"""From a preset to frames: the score of a film, frame sources and frame jobs. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel

from artdiff.curve import Curve, Held, Position, ease, is_number, locate
from artdiff.preset import Preset
from artdiff.preset.prompt import Prompt

if TYPE_CHECKING:
    import numpy as np

Mix = tuple[tuple[str, float], ...]
"""Texts and their shares, which sum to 1."""


@dataclass(frozen=True)
class Start:
    """Where a frame's picture starts: the noise of one seed, or between those of two.

    The noise is the spherical interpolation from `seed` to `towards` at `t` in [0, 1].

    Raises:
        ValueError: a seed is no whole number, or t none from 0 to 1.
    """

    seed: int
    towards: int
    t: float = 0.0

    def __post_init__(self) -> None:
        for seed in (self.seed, self.towards):
            if type(seed) is not int:
                raise ValueError(f"a seed is a whole number, an int, not {seed!r}")
        if not (is_number(self.t) and 0 <= self.t <= 1):
            raise ValueError(f"t, the way from one seed to the other, is 0 to 1, not {self.t!r}")

    @classmethod
    def at(cls, seed: int) -> Start:
        return cls(seed, seed)


@dataclass(frozen=True)
class Init:
    """The image that a frame's picture starts from.

    Attributes:
        image: a reference to its file, see `Plan.files`.
        strength: the time in [0, 1] from which the picture is drawn anew.
        how: fresh noise is added to the image, or the noise behind it is found by inversion.
        prompt: what the image shows, for inversion.
    """

    image: str
    strength: float
    how: Literal["noise", "inversion"] = "noise"
    prompt: str = ""


@dataclass(frozen=True)
class Term:
    """The values of one guidance term at one frame."""

    label: str
    weight: float
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameJob:
    """All that makes one frame, beside the model: frozen, picklable, without tensors.

    Attributes:
        made_with: what all frames of the film have in common, see `Plan.noted`; for the people
            and programs that read a picture's settings. It decides nothing.
    """

    index: int
    seed: int
    prompts: Mix
    negative: str
    start: Start
    scale: float = 1.0
    rescale: float = 0.0
    terms: tuple[Term, ...] = ()
    init: Init | None = None
    made_with: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.start, Start):
            said = f"a frame job begins at a Start, such as Start.at(5), not {self.start!r}"
            raise ValueError(said)

    def record(self) -> dict[str, Any]:
        """The job as JSON-able values, for a frame's sidecar."""
        return {
            "index": self.index,
            "seed": self.seed,
            "prompts": [[text, round(weight, 6)] for text, weight in self.prompts],
            "negative": self.negative,
            "start": [self.start.seed, self.start.towards, round(self.start.t, 6)],
            "guidance": {"scale": self.scale, "rescale": self.rescale},
            "terms": {t.label: {"weight": t.weight, **t.options} for t in self.terms},
            **({"init": asdict(self.init)} if self.init else {}),
            **({"made_with": dict(self.made_with)} if self.made_with else {}),
        }


class FrameSource(Protocol):
    """Says what each frame of a film is made from; pure, so any machine may make any frame."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: Any, score: Score) -> None: ...

    def __len__(self) -> int:
        """The number of frames."""
        ...

    def __getitem__(self, index: int) -> FrameJob:
        """The job of frame `index`; the same index gives the same job."""
        ...


class Effect(Protocol):
    """Changes a finished picture; a pure function of the picture and its job."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: Any) -> None: ...

    def __call__(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        """The changed picture, uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True)
class TermTrack:
    """One guidance term over the film: numbers may be `Curve`, all else `Held`.

    `course` multiplies the weight on the way from noise, 0%, to the picture, 100%.
    """

    label: str
    weight: Curve
    options: Mapping[str, Any]
    course: Curve = field(default_factory=lambda: Curve.parse(1.0))


@dataclass(frozen=True)
class Score:
    """What a preset says about every moment of its film; frame sources read it."""

    preset: Preset
    terms: tuple[TermTrack, ...] = ()

    @property
    def count(self) -> int:
        return self.preset.frames.count

    @property
    def seed(self) -> int:
        return self.preset.seed

    def seed_after(self, number: int) -> int:
        """The seed `number` places after the preset's, round the end of 64 bits."""
        seed = self.seed + number
        return seed if seed < 2**64 else seed - 2**64

    def value(self, curve: Curve | Held, frame: float) -> Any:
        """What a curve or held values say at a frame."""
        return curve.at(frame, self.count, self.preset.frames.fps)

    def start(self, frame: float, number: int = 0) -> Start:
        """The noise at a frame: that of the seed, on its way to that of the subseed, if any.

        :param number: of a picture that varies: it takes the seed so many places on, or, where
            there is a subseed, that one.
        """
        subseed = self.preset.subseed
        if subseed is None:
            return Start.at(self.seed_after(number))
        towards = subseed + number
        t = self.value(self.preset.subseed_strength, frame)
        return Start(self.seed, towards if towards < 2**64 else towards - 2**64, t)

    def init(self, frame: float) -> Init | None:
        """The image at a frame, if any; of keyframes that which was said last."""
        part, fps = self.preset.init, self.preset.frames.fps
        keys = {"0": part.image} if isinstance(part.image, str) else part.image
        said = {Position.parse(k).frame(self.count, fps): image for k, image in keys.items()}
        image = said[max((at for at in said if at <= frame), default=min(said))]
        strength = self.value(part.strength, frame)
        return Init(image, strength, part.how, part.prompt) if image else None

    def prompts(self, frame: float) -> Mix:
        """The mix of texts at a frame: keyframes cross-fade with the preset's easing.

        Where the preset has a pace, the keyframes lie on the way that it says.
        """
        fps = self.preset.frames.fps
        if self.preset.pace is not None:
            frame = self.value(self.preset.pace, frame) / 100 * (self.count - 1)
        keys = sorted(
            (
                (Position.parse(k).frame(self.count, fps), mix)
                for k, mix in self.preset.keyed_prompts.items()
            ),
            key=lambda key: key[0],
        )
        a, b, t = locate([frame for frame, _ in keys], frame)
        return blend(keys[a][1], keys[b][1], ease(self.preset.easing, t))

    def job(self, index: int, prompts: Mix, start: Start, seed: int | None = None) -> FrameJob:
        """The job of a frame, with all that does not depend on the frame source filled in.

        :param seed: names the frame's other draws (ancestral noise, guidance); None takes the
            preset's, so that frames of a film share them.
        """
        guidance = self.preset.guidance
        return FrameJob(
            index=index,
            seed=self.seed if seed is None else seed,
            prompts=prompts,
            negative=self.preset.negative,
            start=start,
            scale=self.value(guidance.scale, index),
            rescale=self.value(guidance.rescale, index),
            init=self.init(index),
            terms=tuple(
                Term(
                    track.label,
                    self.value(track.weight, index),
                    {
                        key: self.value(value, index) if isinstance(value, Curve | Held) else value
                        for key, value in track.options.items()
                    },
                )
                for track in self.terms
            ),
        )


def blend(a: tuple[Prompt, ...], b: tuple[Prompt, ...], t: float) -> Mix:
    """Cross-fade two prompt mixes, t in [0, 1]; equal texts are added, shares sum to 1."""
    shares: dict[str, float] = {}
    for mix, share in ((a, 1 - t), (b, t)):
        total = sum(prompt.weight for prompt in mix)
        for prompt in mix:
            weight = share * prompt.weight / total
            if weight > 0:
                shares[prompt.text] = shares.get(prompt.text, 0.0) + weight
    return tuple(shares.items())
