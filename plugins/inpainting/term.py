"""The term `inpainting`: what a mask keeps stays as it is in a picture, the rest is drawn."""

from __future__ import annotations

import re
from itertools import count
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, Field, ValidationInfo, field_validator
from torch import Tensor
from torch.nn import functional as F

from artdiff import File, FrameJob, Level, Noise, PresetError, Setup, upright

from . import seam
from .expression import Kind, Mask, MaskError, Value, check, evaluate
from .files import fitting, transparent
from .shapes import FUNCTIONS, Canvas

NUMBERS = ("x", "y", "r", "s", "t")
KINDS: dict[str, Kind] = {
    **dict.fromkeys(NUMBERS, "number"), "frame": "number", "alpha": "mask", "all": "mask"
}  # fmt: skip
"""What every mask may name."""

NUMBERED = re.compile(r"%0?\d?d")


class Options(BaseModel, extra="forbid"):
    """Options of inpainting."""

    image: tuple[File, ...] = Field(
        min_length=1,
        description="The picture whose kept part stays. A name with %04d is one for each frame.",
    )
    files: dict[str, tuple[File, ...]] = Field(
        default={},
        description="Mask files by the name that `mask` calls them; %04d is one for each frame.",
    )
    mask: str = Field(
        default="!alpha",
        description="Expression: 1 is repainted, 0 kept, between them repainted by so much. "
        "Without one, what is transparent in the image is repainted.",
    )
    x: float = Field(default=0.5, description="A number that `mask` may name; keyframes allowed.")
    y: float = Field(default=0.5, description="As x.")
    r: float = Field(default=0.25, description="As x.")
    s: float = Field(default=0.0, description="As x.")
    t: float = Field(default=1.0, description="As x.")
    seam: int = Field(
        default=12,
        ge=0,
        le=256,
        description="Pixels inside the mask that blend with what is kept.",
    )
    match: bool = Field(
        default=True, description="Draw the colours near the seam to those of what is kept."
    )

    @field_validator("image", mode="before", json_schema_input_type=File | list[File])
    @classmethod
    def _images(cls, value: Any, info: ValidationInfo) -> Any:
        return sequence(value, info)

    @field_validator(
        "files", mode="before", json_schema_input_type=dict[str, File | list[File]]
    )
    @classmethod
    def _sequences(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        for name in value:
            if not re.fullmatch(r"[A-Za-z_]\w*", name) or name in KINDS or name in FUNCTIONS:
                raise ValueError(f"{name!r} cannot name a mask; take another word")
        return {name: sequence(part, info) for name, part in value.items()}

    @field_validator("mask")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if "files" in info.data:  # else they are wrong, which is told already
            check(value, {**KINDS, **dict.fromkeys(info.data["files"], "mask")}, FUNCTIONS)
        return value


def sequence(value: Any, info: ValidationInfo) -> Any:
    """One file name, or all of those that a name with %04d stands for, from 0 or from 1.

    :raises ValueError: there is no such file.
    """
    if not isinstance(value, str):
        return value
    context: Any = info.context
    if context is None:
        return (value,)
    folder, names = context.beside(info.field_name), []
    if not NUMBERED.search(value):
        if not (folder / value).is_file() and value not in context.found:
            what = "is a folder" if (folder / value).is_dir() else "no such file"
            raise ValueError(f"{what}: {folder / value}")
        return (value,)
    for number in count():
        name = NUMBERED.sub(lambda digits, n=number: digits[0] % n, value)
        if (folder / name).is_file():
            names.append(name)
        elif number > 0:
            break
    if not names:
        raise ValueError(f"no such files: {folder / value}")
    return tuple(names)


class Inpainting:
    r"""Keep a part of a picture, at every step and in the end to the last bit.

    With z the latents of the picture, m their mask in [0, 1] and f the noise fraction:

    .. math:: x_0 \leftarrow z \;\text{where}\; m < f, \qquad x_0 \;\text{elsewhere}

    so m = 0 is kept throughout, m = 1 is drawn from the start, and what lies between is drawn from
    the picture with noise of that fraction on it: a strength for each place (Levin & Fried,
    "Differential Diffusion", arXiv 2306.00950, Algorithm 1). Only x0 is replaced: the sampler's
    own transfer then puts the noise on it that is in x already, or, where it is ancestral, partly
    fresh noise of the right size. So the kept part of x is :math:`\alpha z + \sigma\varepsilon` at
    every level, of every sampler and schedule, and z at the end.

    A latent cell is kept only if all of its pixels are. It has the middle between their largest
    value and their mean, so that a cell of which little is repainted is drawn late, close to what
    it was, but never later than at half of the noise. Pixels that are repainted from nothing
    (m = 1) are hidden from the encoder: it sees a smooth continuation of the rest there. `finish`
    puts the kept pixels back, see `seam.joined`.
    """

    per_frame: ClassVar[bool] = True
    Options = Options

    def __init__(self, options: Options, setup: Setup) -> None:
        self.options = options
        index = 0 if setup.job is None else setup.job.index
        image = _pick(options.image, index)
        with torch.no_grad():
            picture = setup.picture(image)
            self.picture = seam.to_pixels(picture[0])
            self.mask = draw(options, setup, image, self.picture, index)
            hidden = seam.continued(self.picture, self.mask)
            self.known = setup.encode(seam.to_image(hidden).to(picture))
            mask = torch.from_numpy(self.mask)[None, None]
            height, width = self.known.shape[-2:]
            most = F.adaptive_max_pool2d(mask, (height, width))
            self.cells = (most + F.adaptive_avg_pool2d(mask, (height, width))) / 2

    def __call__(self, x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
        """x0 with the kept part in its place, (B, C, h, w)."""
        kept = self.cells.to(x0.device) < at.fraction
        return torch.where(kept, self.known.to(x0), x0)

    def finish(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        """The picture with the kept pixels of the other one, uint8 (H, W, 3)."""
        return seam.joined(picture, self.picture, self.mask, self.options.seam, self.options.match)

    def conditioning(self) -> dict[str, Tensor]:
        """What a network that was trained to inpaint is told, beside the text.

        ``mask`` is (1, 1, h, w), 1 where the network draws; ``masked`` is (1, C, h, w), the
        latents of the picture with its hidden part smoothly continued.
        """
        return {"mask": (self.cells > 0).to(self.known), "masked": self.known}


def draw(options: Options, setup: Setup, image: str, picture: np.ndarray, index: int) -> Mask:
    """The mask of a frame, float32 (H, W) in [0, 1].

    :raises PresetError: a mask file has another size than the image, or a number does not fit.
    """

    def named(name: str) -> Value:
        if name in NUMBERS:
            return float(getattr(options, name))
        if name == "frame":
            return float(index)
        if name == "all":
            return np.ones(picture.shape[:2], np.float32)
        if name == "alpha":
            return opacity(setup, image)
        file = _pick(options.files[name], index)
        fitting(name, _size(setup, file), _size(setup, image))
        return setup.alpha(file)[0, 0].clamp(0, 1).numpy()

    try:
        return evaluate(options.mask, named, FUNCTIONS, Canvas.on(picture))
    except MaskError as error:
        raise PresetError(f"mask: {error}") from None


def opacity(setup: Setup, image: str) -> Mask:
    """How opaque an image is, (H, W) in [0, 1]; 1 where it has no alpha channel."""
    if transparent(setup.path(image)):
        return setup.alpha(image)[0, 0].clamp(0, 1).numpy()
    return np.ones((setup.height, setup.width), np.float32)


def _size(setup: Setup, file: str) -> tuple[int, int]:
    from PIL import Image

    with Image.open(setup.path(file)) as image:
        return upright(image).size


def _pick(names: tuple[str, ...], index: int) -> str:
    """The file of a frame; the last one stays."""
    return names[min(index, len(names) - 1)]
