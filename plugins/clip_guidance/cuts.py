"""Cuts: what of a picture an encoder is shown, drawn for each row from its own noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff import Noise

from .options import Augment, Cuts

LUMA = (0.299, 0.587, 0.114)
"""Of ITU-R BT.601: how bright red, green and blue are in a picture without colour."""


@dataclass(frozen=True)
class Cut:
    """One cut of each row.

    Attributes:
        name: of its random draws.
        boxes: top, left and side of a square for each row; None is all of the picture.
        grey, mirrored: of all rows.
    """

    name: str
    boxes: tuple[tuple[int, int, int], ...] | None = None
    grey: bool = False
    mirrored: bool = False


def draw_cuts(
    cuts: Cuts, progress: float, size: tuple[int, int], noise: Noise, stream: str
) -> list[Cut]:
    r"""Say what is cut at a part of the walk.

    Overview cuts are the picture as it is, grey, mirrored, and both, in turn. The side of an
    inner cut is :math:`l + (h - l) u^p` for u uniform in [0, 1), power p and the least and
    greatest side l and h, shares of the shorter side; its place is uniform. The first of the inner
    cuts are the grey ones.

    Args:
        cuts: the numbers.
        progress: in [0, 1], 1 is the picture.
        size: height and width.
        noise: of B rows.
        stream: begins the names of all draws.
    """
    height, width = size
    views = ((False, False), (True, False), (False, True), (True, True))
    drawn = []
    for place in range(round(cuts.overview.along(progress))):
        grey, mirrored = views[place % 4]
        drawn.append(Cut(f"{stream}/overview {place}", None, grey, mirrored))
    count = round(cuts.inner.along(progress))
    like = torch.empty(len(noise.seeds), 3, dtype=torch.float64)
    ends = cuts.smallest.along(progress), cuts.largest.along(progress)
    power, without = cuts.power.along(progress), round(cuts.grey.along(progress) * count)
    for place in range(count):
        name, boxes = f"{stream}/inner {place}", []
        for of_side, down, right in noise.uniform(like, name).tolist():
            share = min(ends) + (max(ends) - min(ends)) * of_side**power
            side = max(1, round(share * min(height, width)))
            boxes.append((int(down * (height - side + 1)), int(right * (width - side + 1)), side))
        drawn.append(Cut(name, tuple(boxes), place < without))
    return drawn


def take(images: Tensor, cuts: Sequence[Cut], size: tuple[int, int]) -> Tensor:
    """Cut images (B, 3, H, W): (n B, 3, h, w), all rows of the first cut first; gradients flow.

    All of a picture that is no square gets a grey margin on two sides.
    """
    rows, taken = images.unbind(0), []
    for cut in cuts:
        if cut.boxes is None:
            height, width = images.shape[2:]
            high, wide = max(width - height, 0), max(height - width, 0)
            margin = (wide // 2, wide - wide // 2, high // 2, high - high // 2)
            parts = [F.pad(images, margin)] if any(margin) else [images]
        else:
            parts = [
                row[None, :, top : top + side, left : left + side]
                for row, (top, left, side) in zip(rows, cut.boxes, strict=True)
            ]
        seen = torch.cat([resized(part, size) for part in parts])
        seen = seen.flip(3) if cut.mirrored else seen
        taken.append(greyed(seen) if cut.grey else seen)
    return torch.cat(taken)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images at another size: bilinear, and averaged where they shrink."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def greyed(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) without colour."""
    luma = torch.tensor(LUMA, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images * luma).sum(1, keepdim=True).expand_as(images)


def augmented(seen: Tensor, cuts: Sequence[Cut], augment: Augment, noise: Noise) -> Tensor:
    """Change cuts (n B, 3, h, w) at random: turned, shifted, mirrored, coloured, with grain."""
    like, batch = seen.detach(), len(noise.seeds)
    draws = torch.cat(
        [noise.uniform(like.new_empty(batch, 8), f"{cut.name}/augment") for cut in cuts]
    )
    swing = 2 * draws - 1
    if augment.rotate or augment.shift or augment.flip:
        angle = swing[:, 0] * augment.rotate * torch.pi / 180
        mirror = torch.where(draws[:, 1] < augment.flip, -1.0, 1.0).to(seen)
        turn = torch.stack([angle.cos() * mirror, -angle.sin(), angle.sin() * mirror, angle.cos()])
        shift = 2 * augment.shift * swing[:, 2:4]
        affine = torch.cat([turn.T.view(-1, 2, 2), shift[:, :, None]], dim=2)
        grid = F.affine_grid(affine, list(seen.shape), align_corners=False)
        seen = F.grid_sample(seen, grid, padding_mode="reflection", align_corners=False)
    if augment.jitter:
        light, contrast, colour = (augment.jitter * swing[:, 4:7] + 1).T.view(3, -1, 1, 1, 1)
        seen = (seen + 1) * light - 1
        middle = seen.mean((1, 2, 3), keepdim=True)
        seen = middle + (seen - middle) * contrast
        without = greyed(seen)
        seen = without + (seen - without) * colour
    if augment.grey:
        chosen = (draws[:, 7] < augment.grey).view(-1, 1, 1, 1)
        seen = torch.where(chosen, greyed(seen), seen)
    if augment.grain:
        own = like.new_empty(batch, *like.shape[1:])
        grain = torch.cat([noise.normal(own, f"{cut.name}/grain") for cut in cuts])
        seen = seen + augment.grain * grain
    return seen
