r"""Windows over pictures that are larger than a network should see at once, joined without seams.

Windows lie in a grid and overlap. What a function makes of each is averaged with weights that rise
smoothly from the rim of a window inwards:

.. math::
    y = \sum_i w_i \odot f(x|_i), \qquad \sum_i w_i = 1

For a denoiser this is the closed form of MultiDiffusion (Bar-Tal et al., arXiv 2302.08113, Eq. 5):
all windows are denoised jointly, since at every step they agree on x0 where they overlap. The
outer quarter of an overlap counts for nothing: there a convolution has seen the rim. Only one
window is in the network at a time, so that memory is bounded by the window, not by the picture;
where a gradient flows through, autograd keeps what it needs of all windows until it went back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from artdiff.denoise import Conditioning, Denoiser, answering, denoiser_of
from artdiff.model import Codec, Model
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = ["TiledCodec", "Tiling", "Window", "normal_by_place", "tiled_denoiser", "tiled_model"]


class Window(NamedTuple):
    """A rectangle of cells."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, x: Tensor, by: int = 1) -> Tensor:
        """What lies in the window, of x (..., H / by, W / by)."""
        top, left = self.top // by, self.left // by
        return x[..., top : top + self.height // by, left : left + self.width // by]


@dataclass(frozen=True)
class Tiling:
    """How a plane is cut into windows; all numbers count cells.

    Args:
        size: the side of a window; a shorter plane is covered by one as short as it is.
        overlap: how far windows overlap at least, below `size`; rounded up to multiples.
        multiple: sides and places of windows are multiples of it, as those of planes must be.

    Raises:
        ValueError: if size or overlap is out of range or size is no multiple.
    """

    size: int
    overlap: int
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.size < 1 or self.size % self.multiple:
            raise ValueError(f"a window's side is a multiple of {self.multiple}, not {self.size}")
        if not 0 <= self.overlap <= self.size - self.multiple:
            most = self.size - self.multiple
            raise ValueError(f"windows of {self.size} overlap by 0 to {most}, not {self.overlap}")

    def windows(self, height: int, width: int) -> list[Window]:
        """The windows that cover a plane of height x width, row by row, evenly spread."""
        rows, columns = self._axis(height), self._axis(width)
        return [
            Window(top, left, len(down), len(across))
            for top, down in rows
            for left, across in columns
        ]

    def join(
        self, make: Callable[[Window], Tensor], height: int, width: int, up: int = 1
    ) -> Tensor:
        """Average what `make` gives for each window, in order; gradients flow.

        Args:
            make: a window of the plane to (B, C, h * up, w * up).
            height: cells of the plane.
            width: cells of the plane.
            up: pixels on a side of what is made for each cell.

        Returns:
            (B, C, height * up, width * up).
        """
        whole: Tensor | None = None
        for rows, down in zip(self._axis(height), self._axis(height, up), strict=True):
            for columns, across in zip(self._axis(width), self._axis(width, up), strict=True):
                part = make(Window(rows[0], columns[0], len(rows[1]), len(columns[1])))
                if whole is None:
                    whole = part.new_zeros(*part.shape[:-2], height * up, width * up)
                (top, high), (left, wide) = down, across
                room = whole[..., top : top + len(high), left : left + len(wide)]
                room += (high[:, None] * wide).to(part) * part
        assert whole is not None
        return whole

    def _axis(self, length: int, up: int = 1) -> tuple[tuple[int, Tensor], ...]:
        return axis(length * up, self.size * up, self.overlap * up, self.multiple * up)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def axis(length: int, size: int, overlap: int, multiple: int) -> tuple[tuple[int, Tensor], ...]:
    """Where the windows of one axis begin, rising, with their weights (size,) float64.

    The weights of all windows sum to 1 in every cell.

    Raises:
        ValueError: if length is no multiple of `multiple`.
    """
    if length < 1 or length % multiple:
        raise ValueError(f"a plane's side is a multiple of {multiple}, not {length}")
    if length <= size:
        return ((0, torch.ones(length, dtype=torch.float64)),)
    overlap = -(-overlap // multiple) * multiple
    gaps = -(-(length - size) // (size - overlap))
    starts = [(length - size) // multiple * i // gaps * multiple for i in range(gaps + 1)]
    place = torch.arange(size, dtype=torch.float64) + 0.5
    weights, total = [], torch.zeros(length, dtype=torch.float64)
    for number, start in enumerate(starts):
        weight = torch.ones(size, dtype=torch.float64)
        if number > 0:
            weight = weight * _ramp(place, starts[number - 1] + size - start)
        if number < len(starts) - 1:
            weight = weight * _ramp(size - place, start + size - starts[number + 1])
        weights.append(weight)
        total[start : start + size] += weight
    shares = (w / total[a : a + size] for a, w in zip(starts, weights, strict=True))
    return tuple(zip(starts, shares, strict=True))


def _ramp(away: Tensor, overlap: int) -> Tensor:
    """0 in the outer quarter of an overlap, 1 from the inner one on, a half cosine between."""
    u = ((away - overlap / 4) / max(overlap / 2, 1e-9)).clamp(0, 1)
    return (1 - (torch.pi * u).cos()) / 2


def tiled_denoiser(
    denoiser: Denoiser, tiling: Tiling, smaller: Mapping[str, int] | None = None
) -> Denoiser:
    """A denoiser that sees windows and averages x0, and its learned variance if it has one.

    A plane that one window covers is given to `denoiser` as it is.

    Args:
        denoiser: E[x0 | x] of windows (B, C, h, w).
        tiling: in cells of x.
        smaller: conditioning that is a plane, (B, C, H / n, W / n), by name with its n.
    """
    ask, planes = answering(denoiser), smaller or {}

    def answer(x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor | None]:
        height, width = x.shape[-2:]
        if max(height, width) <= tiling.size:
            return ask(x, at, cond)
        learned = False

        def make(window: Window) -> Tensor:
            nonlocal learned
            told = {k: window.cut(v, planes[k]) if k in planes else v for k, v in cond.items()}
            x0, place = ask(window.cut(x), at, told)
            learned = place is not None
            return x0 if place is None else torch.cat([x0, place], dim=1)

        joined = tiling.join(make, height, width)
        if not learned:
            return joined, None
        x0, place = joined.chunk(2, dim=1)
        return x0, place

    return denoiser_of(answer, denoiser)


@dataclass(frozen=True)
class TiledCodec:
    """A codec that sees windows; `tiling` counts cells of the latent.

    Its pictures are those of the codec up to what cells further away than a quarter of the overlap
    add to a pixel: nothing for a codec that looks no further.
    """

    codec: Codec
    tiling: Tiling

    @property
    def channels(self) -> int:
        return self.codec.channels

    @property
    def factor(self) -> int:
        return self.codec.factor

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to latents (B, C, H / f, W / f)."""
        factor, (height, width) = self.factor, images.shape[-2:]
        cells = (height // factor, width // factor)

        def make(window: Window) -> Tensor:
            top, left, high, wide = (side * factor for side in window)
            return self.codec.encode(Window(top, left, high, wide).cut(images))

        return self.tiling.join(make, *cells)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to images."""
        return self.tiling.join(
            lambda window: self.codec.decode(window.cut(latents)),
            *latents.shape[-2:],
            up=self.factor,
        )


def tiled_model(model: Model, size: int, overlap: int) -> Model:
    """A model that denoises and decodes in windows, for pictures larger than it was made for.

    Each window is a picture to the model: what it puts into one it may put into the next.

    Args:
        model: any; its card says of what its sides must be multiples.
        size: pixels on a side of a window.
        overlap: pixels that windows overlap at least.

    Raises:
        ValueError: if size or overlap does not suit the model.
    """
    factor, multiple = model.codec.factor, model.card.multiple
    for what, pixels in (("size", size), ("overlap", overlap)):
        if pixels % multiple:
            near = max(round(pixels / multiple), 1) * multiple
            raise ValueError(
                f"{what}: model {model.card.name!r} needs a multiple of {multiple}; the nearest "
                f"is {near} (got {pixels})"
            )
    tiling = Tiling(size // factor, overlap // factor, multiple // factor)
    return replace(
        model,
        denoiser=tiled_denoiser(model.denoiser, tiling),
        codec=TiledCodec(model.codec, tiling),
    )


def normal_by_place(noise: Noise, like: Tensor, stream: str, block: int = 64) -> Tensor:
    """Standard normal noise (B, C, H, W) whose values in a cell depend on the cell's place only.

    Blocks of block x block cells have streams of their own: a larger plane begins with the noise
    of a smaller one, and each block can be drawn alone.

    Args:
        noise: of B seeds.
        like: gives shape, dtype and device.
        stream: the name of the draw.
        block: cells on a side of a block; another number gives other noise.
    """
    height, width = like.shape[-2:]
    whole = torch.empty_like(like)
    room = like.new_empty(*like.shape[:-2], block, block)
    for top in range(0, height, block):
        for left in range(0, width, block):
            drawn = noise.normal(room, f"{stream}/{top // block}/{left // block}")
            high, wide = min(block, height - top), min(block, width - left)
            whole[..., top : top + high, left : left + wide] = drawn[..., :high, :wide]
    return whole
