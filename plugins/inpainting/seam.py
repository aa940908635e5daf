"""Pixels at a mask's edge: what continues them, and how what was drawn joins what was kept."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from .expression import Mask

GREY = 128
RIM = 4
"""Pixels of what is kept that are compared with what was drawn there."""
BLUR = 2.0
"""Pixels over which nearest differences are averaged, so that they make no streaks."""


def to_pixels(image: Tensor) -> np.ndarray:
    """An image (3, H, W) in [-1, 1] as uint8 (H, W, 3)."""
    levels = image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def to_image(picture: np.ndarray) -> Tensor:
    """A picture, uint8 (H, W, 3), as an image (1, 3, H, W) in [-1, 1]."""
    levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    return levels.float() / 127.5 - 1


def spread(values: np.ndarray, known: Mask) -> np.ndarray:
    """Smoothly continue what is known at some pixels over all others, float32 (H, W, C).

    Averages over known pixels, at scales that double until all are reached, come back down and are
    overlaid by finer ones where there are any: the pull-push of Gortler et al., "The Lumigraph",
    SIGGRAPH 1996, Section 3.4.2, with OpenCV's pyramids.

    Args:
        values: float32 (H, W, C); those of unknown pixels do not count.
        known: 1 where a pixel is known, 0 where not, float32 (H, W); somewhere 1.
    """
    levels = [(values * known[..., None], known)]
    while max(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    coarse = None
    for value, weight in reversed(levels):
        own = value / np.maximum(weight, 1e-6)[..., None]
        if coarse is not None:
            up = cv2.pyrUp(coarse, dstsize=(weight.shape[1], weight.shape[0]))
            share = np.clip(4 * weight, 0, 1)[..., None]
            own = own * share + up * (1 - share)
        coarse = own
    assert coarse is not None
    return coarse


def continued(picture: np.ndarray, mask: Mask) -> np.ndarray:
    """The picture, uint8 (H, W, 3), with a smooth continuation where the mask is 1."""
    known = (mask < 1).astype(np.float32)
    if not known.any():
        return np.full_like(picture, GREY)
    rest = np.clip(spread(picture.astype(np.float32), known), 0, 255).round()
    return np.where(known[..., None] > 0, picture, rest.astype(np.uint8))


def joined(
    drawn: np.ndarray, kept: np.ndarray, mask: Mask, width: int, match: bool = True
) -> np.ndarray:
    r"""What was drawn where the mask is above 0, what was kept elsewhere, to the last bit.

    At distance d inside the mask, what was drawn, g, becomes

    .. math:: e\,k + (1 - e)\,(g + w\,\Delta + (1 - w)\,e^{-d/4n}\,\bar\Delta)

    with n = `width`; k is the kept pixel that lies nearest, :math:`\Delta` the difference between
    it and what was drawn there, :math:`\bar\Delta` that of the whole rim, smoothly spread; e falls
    from 1 to 0 over n / 3 pixels and w over n, as smooth steps. So colours agree at the
    edge, as in Pérez et al., "Poisson Image Editing", SIGGRAPH 2003, Eq. 4, but the change fades
    away from it. What lay under the mask is not used.

    Args:
        drawn: uint8 (H, W, 3).
        kept: uint8 (H, W, 3).
        mask: 0 where pixels are kept.
        width: n in pixels; 0 joins hard.
        match: False leaves both differences out.
    """
    hole = mask > 0
    if not hole.any() or hole.all() or not width:
        return np.where(hole[..., None], drawn, kept)
    distance, labels = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(labels, np.int64)
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels[~hole]] = np.flatnonzero(~hole)
    nearest = nearest[labels]
    values, rest = drawn.astype(np.float32), kept.astype(np.float32)
    if match:
        off = rest - values
        rim = cv2.dilate(hole.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)) > hole
        fade = np.exp(-distance / (4 * width))[..., None]
        close = _smooth(1 - (distance - 1) / width)
        values = values + close * cv2.GaussianBlur(off.reshape(-1, 3)[nearest], (0, 0), BLUR)
        values += (1 - close) * fade * spread(off, rim.astype(np.float32))
    edge = _smooth(1 - distance / (1 + width / 3))
    values = edge * rest.reshape(-1, 3)[nearest] + (1 - edge) * values
    return np.where(hole[..., None], np.clip(values, 0, 255).round().astype(np.uint8), kept)


def _smooth(share: np.ndarray) -> np.ndarray:
    """A smooth step, (H, W, 1)."""
    share = np.clip(share, 0, 1)[..., None]
    return share * share * (3 - 2 * share)
