"""The judge: a convolutional network that names what a finished picture shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["JudgeConfig", "JudgeNet"]

RELU_GAIN = (2 / (1 - 1 / torch.pi)) ** 0.5
"""What brings relu(z) of a normal z back to variance 1."""


@dataclass(frozen=True)
class JudgeConfig:
    """Sizes of a `JudgeNet`.

    Args:
        size: pixels on a side of the pictures it sees.
        patch: pixels on a side that become one place of the first stage.
        widths: channels of each stage; every stage has half the side of the one before.
        depths: residual blocks of each stage.
        classes: classes of each head.

    Raises:
        ValueError: the sizes do not go together.
    """

    size: int = 128
    patch: int = 4
    widths: tuple[int, ...] = (48, 96, 192)
    depths: tuple[int, ...] = (1, 2, 2)
    classes: tuple[int, ...] = (10,)

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.depths):
            raise ValueError("widths and depths need one number for each stage")
        if min((*self.widths, *self.depths, *self.classes, self.patch)) < 1:
            raise ValueError("widths, depths, classes and patch are 1 or more")
        if self.size % self.factor:
            raise ValueError(f"size must be a multiple of {self.factor}, not {self.size}")

    @property
    def factor(self) -> int:
        """How many times smaller a side is after the last stage."""
        return self.patch * 2 ** (len(self.widths) - 1)


class EvenConv(nn.Conv2d):
    """A convolution whose filters have mean 0 and the same length, times a learned gain.

    Scaled weight standardisation: Brock et al., "High-Performance Large-Scale Image Recognition
    Without Normalization", arXiv:2102.06171, Eq. 1.
    """

    def __init__(self, given: int, out: int, stride: int = 1) -> None:
        super().__init__(given, out, 3, stride, 1)
        self.gain = nn.Parameter(torch.ones(out, 1, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        spread, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, unbiased=False)
        scale = self.gain * (spread * self.weight[0].numel() + 1e-4).rsqrt()
        weight = (self.weight - mean) * scale
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


class EvenBlock(nn.Module):
    """``x + share conv(relu(conv(relu(x))))``, with a share that begins at 0.2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = EvenConv(width, width), EvenConv(width, width)
        self.share = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(even_relu(x))
        return x + self.share * self.second(even_relu(h))


def even_relu(x: Tensor) -> Tensor:
    """A rectifier that keeps the variance of a normal x at 1."""
    return F.relu(x) * RELU_GAIN


class JudgeNet(nn.Module):
    """Pictures to the logits of several heads, each of which looks at its own places.

    Residual blocks of 3 x 3 convolutions without normalisation of activations, so that no picture
    sees its batch. Each head h weighs the places p of the last stage by a softmax of its own,
    since objects are small and skies are large, and sees the largest values beside:
    :math:`y_h = W_h [\\sum_p a_h(p) z(p), \\max_p z(p)]`, both with their layer norm.
    """

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = EvenConv(3 * config.patch**2, widths[0])
        stages: list[nn.Module] = []
        for number, (width, depth) in enumerate(zip(widths, config.depths, strict=True)):
            if number:
                stages.append(EvenConv(widths[number - 1], width, stride=2))
            stages += [EvenBlock(width) for _ in range(depth)]
        self.stages = nn.Sequential(*stages)
        self.places = nn.Conv2d(widths[-1], len(config.classes), 1)
        nn.init.zeros_(self.places.weight)
        self.norms = nn.ModuleList(nn.LayerNorm(widths[-1]) for _ in range(2))
        self.heads = nn.ModuleList(nn.Linear(2 * widths[-1], count) for count in config.classes)
        self.edges = ("stem", "places", *(f"heads.{i}" for i in range(len(config.classes))))

    def features(self, images: Tensor) -> Tensor:
        """What lies at each place, (B, widths[-1], h, w), of images (B, 3, H, W) in [-1, 1].

        :raises ValueError: they are of another size than the config's.
        """
        side = self.config.size
        if images.shape[-2:] != (side, side):
            wrong = "x".join(map(str, images.shape[-2:]))
            raise ValueError(f"this judge sees pictures of {side}x{side}, not {wrong}")
        x = F.pixel_unshuffle(images, self.config.patch)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        return even_relu(self.stages(x))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of all heads side by side, (B, sum of classes)."""
        return self.read(self.features(images))

    def read(self, features: Tensor) -> Tensor:
        """Logits from what `features` gave."""
        weights = self.places(features).float().flatten(2).softmax(2)
        flat = features.float().flatten(2)
        mean, most = self.norms
        seen, peaks = mean(weights @ flat.mT), most(flat.amax(2))
        seen = torch.cat([seen, peaks[:, None].expand_as(seen)], dim=2)
        parts = zip(self.heads, seen.unbind(1), strict=True)
        return torch.cat([head(part).float() for head, part in parts], dim=1)
