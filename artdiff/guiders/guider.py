r"""Guidance that needs no gradient: a guider combines several answers of a network into one x0.

A guider says which *passes* it asks for beside the conditional answer, and how it combines them:

=============  ====================================================================
pass           the answer
=============  ====================================================================
``uncond``     to the negative prompt, or to nothing
``perturbed``  with the self-attention maps of some blocks replaced by the identity
``skipped``    with some blocks left out
``weak``       of another, weaker model
=============  ====================================================================

All passes but ``weak`` come from one call on a batch of that many times the rows. What a walk must
remember (momentum) lives with the denoiser that `guided` makes, never in the guider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor

from artdiff.denoise import Answer, Conditioning, Denoise, Denoiser, answering, denoiser_of
from artdiff.errors import ModelError, PluginError
from artdiff.guiders.rows import per_row, stack, std
from artdiff.noise import Level

__all__ = ["MARKED", "PASSES", "Guider", "Markable", "Seen", "blocks_of", "guided"]

S = TypeVar("S")

PASSES = ("uncond", "perturbed", "skipped", "weak")
"""What a guider may ask for beside the conditional answer."""

MARKED = ("perturbed", "skipped")
"""Passes of the same network with some of its blocks weakened; see `Markable`."""


class Markable(Protocol):
    """A network that can be asked with some of its blocks weakened, row by row.

    Its conditioning may hold ``cond["perturbed"]`` or ``cond["skipped"]``, (B, N) whole numbers:
    the blocks that are weakened in each row, -1 for none. Without the key it costs nothing.

    Attributes:
        depth: how many blocks there are, from 0.
        weakens: for each of the keys that it knows, the blocks to take if nothing else is said.
    """

    depth: int
    weakens: Mapping[str, Sequence[int]]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a guider combines at one level.

    Attributes:
        x: the noisy sample, (B, C, H, W).
        at: its level.
        answers: x0 for each pass, (B, C, H, W); ``"cond"`` is always there, ``"uncond"`` where it
            was asked for.
        scale: w here, a number or (B, 1, 1, 1); 1 is off.
        share: what the course of the walk leaves of all strengths here, 1 without one.
    """

    x: Tensor
    at: Level
    answers: Mapping[str, Tensor]
    scale: float | Tensor
    share: float = 1.0

    @property
    def cond(self) -> Tensor:
        """The conditional answer."""
        return self.answers["cond"]

    @property
    def classifier_free(self) -> Tensor:
        r"""x_cond + (w - 1) (x_cond - x_uncond), or x_cond where nothing else was asked for."""
        if "uncond" not in self.answers:
            return self.cond
        return self.cond + (self.scale - 1) * (self.cond - self.answers["uncond"])


class Guider(Protocol[S]):
    """One way to combine answers; a frozen dataclass of its options.

    A preset's options are validated by a nested class, ``class Options(BaseModel,
    extra="forbid")``; construct with ``cls(**options.model_dump())``. Options cannot have the
    names of the keys that every guider shares: name, scale, rescale, start, stop, course, through.
    One that weakens blocks has their numbers in ``layers``, one that asks a weaker model its name
    in ``model``.

    Attributes:
        name: the name in `artdiff.guiders.GUIDERS` and in presets.
        passes: all that it may ever ask for, of `PASSES`.
    """

    name: ClassVar[str]
    passes: ClassVar[tuple[str, ...]]

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        """Give the passes that are needed at a level, or at any if `at` is None.

        Args:
            scaled: whether the scale of any row is other than 1. The answer must not depend on
                anything else of the rows.
            at: a level; an empty answer means that x0 is the conditional one.
        """
        ...

    def init(self) -> S:
        """Give the memory before the first call of a walk."""
        ...

    def combine(self, seen: Seen, memory: S) -> tuple[Tensor, S]:
        """Give x0, (B, C, H, W), rows never mixed, and the memory for the next call, detached.

        It is called once for every model call of a sampler, so twice a step by ``heun``.
        """
        ...


def blocks_of(denoiser: Denoiser, key: str, layers: Sequence[int]) -> tuple[int, ...]:
    """Give the blocks that a denoiser's network weakens: `layers`, or its own choice if empty.

    Raises:
        ModelError: if the network knows nothing of it, or has no such block.
    """
    network: Any = getattr(denoiser, "network", denoiser)
    weakens = getattr(network, "weakens", {})
    if key not in weakens:
        what = "perturb its attention (pag)" if key == "perturbed" else "skip blocks (skip_layer)"
        raise ModelError(f"this model cannot {what}; use another guidance.name, such as 'apg'")
    for block in layers:
        if not 0 <= block < network.depth:
            last = network.depth - 1
            raise ModelError(f"guidance.layers: the model has blocks 0 to {last}, not {block}")
    return tuple(layers) or tuple(weakens[key])


def guided(
    guider: Guider[Any],
    denoiser: Denoiser,
    uncond: Conditioning,
    scale: float | Tensor,
    *,
    start: float = 1.0,
    stop: float = 0.0,
    rescale: float | Tensor = 0.0,
    course: Callable[[float], float] | None = None,
    weak: Denoise | None = None,
) -> Denoiser:
    r"""Put a guider around a denoiser; without anything to ask for, return it as it is.

    With G what the guider makes of its answers:

    .. math::
        x_0 = \varphi \frac{\mathrm{std}(x_{cond})}{\mathrm{std}(G)} G + (1 - \varphi) G

    Rescale: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed",
    arXiv 2305.08891, Eq. 14-16, applied to x0, std over (C, H, W) of each sample. Interval:
    Kynkäänniemi et al., "Applying Guidance in a Limited Interval", arXiv 2404.07724. A learned
    variance is the conditional one's.

    The result remembers one walk of one batch: make another for another walk.

    Args:
        guider: how answers are combined.
        denoiser: what is called; outside the interval with cond alone.
        uncond: the conditioning to move away from (nothing, or a negative prompt), with the keys
            of cond; leading dimension B, or 1 for all rows.
        scale: w, one number or (B,), one for each row; 1 is off, and costs nothing where it is 1
            for all rows and the guider asks for nothing else.
        start: guidance acts where start >= `Level.fraction` >= stop; 1 is pure noise.
        stop: 0 is the clean end.
        rescale: phi in [0, 1], one number or (B,); 0 is off. About 0.7 keeps high scales from
            oversaturating.
        course: how much of the guidance acts when so much of the walk, 1 - `Level.fraction`, is
            done: it multiplies w - 1 and the guider's own strengths. Where it is 0 guidance is
            off and costs nothing. None is 1 everywhere.
        weak: the weaker model with its own conditioning, for the pass ``weak``.

    Raises:
        ValueError: if start, stop or rescale is out of range, a pass is unknown or has no model,
            or (when called) if uncond has other keys than cond, or scale other than B rows.
        ModelError: if the denoiser cannot answer a pass.
        PluginError: when called, if the guider gives anything but x0 of the shape of x.
    """
    if not 0 <= stop <= start <= 1:
        raise ValueError(f"0 <= stop <= start <= 1, not stop={stop}, start={start}")
    amount = torch.as_tensor(rescale)
    if not bool(((amount >= 0) & (amount <= 1)).all()):
        raise ValueError(f"0 <= rescale <= 1, not {rescale}")
    scaled = bool((torch.as_tensor(scale) != 1).any())
    ever = guider.asks(scaled)
    if not ever:
        return denoiser
    for name in ever:
        if name not in PASSES:
            raise ValueError(f"a guider asks for {', '.join(PASSES)}, not {name!r}")
    if "weak" in ever and weak is None:
        raise ValueError(f"guider {guider.name} needs a weaker model")
    layers = getattr(guider, "layers", ())
    blocks = {name: blocks_of(denoiser, name, layers) for name in ever if name in MARKED}
    rescaled, ask, memory = bool((amount != 0).any()), answering(denoiser), guider.init()

    def answer(x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor | None]:
        nonlocal memory
        share = float(start >= at.fraction >= stop)
        if share and course is not None:
            share = course(1 - float(at.fraction))
        passes = guider.asks(scaled, at) if share else ()
        if not passes:
            return ask(x, at, cond)
        same = [name for name in passes if name != "weak"]
        answers, place = _answers(ask, x, at, cond, uncond, same, blocks)
        if "weak" in passes and weak is not None:
            answers["weak"] = weak(x, at)
        w = per_row(scale, x, "scale")
        w = w if share == 1 else 1 + share * (w - 1)
        x0, memory = guider.combine(Seen(x, at, answers, w, share), memory)
        if not isinstance(x0, Tensor) or x0.shape != x.shape:
            wrong = f"{tuple(x0.shape)}" if isinstance(x0, Tensor) else type(x0).__name__
            raise PluginError(f"guider {guider.name!r} returned {wrong}, not {tuple(x.shape)}")
        if isinstance(w, Tensor) and not guider.asks(False, at):
            x0 = torch.where(w == 1, answers["cond"], x0)  # as such a row is by itself
        if not rescaled:
            return x0, place
        change = std(answers["cond"]).clamp(min=1e-6) / std(x0).clamp(min=1e-6) - 1
        return x0 * (1 + per_row(rescale, x, "rescale") * change), place

    return denoiser_of(answer, denoiser)


def _answers(
    ask: Answer,
    x: Tensor,
    at: Level,
    cond: Conditioning,
    uncond: Conditioning,
    passes: Sequence[str],
    blocks: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Ask for cond and the passes of the same network in one call; give x0 by pass, and f."""
    count, said = 1 + len(passes), [cond]
    said += [uncond if name == "uncond" else cond for name in passes]
    told = dict(stack(said))
    for place, name in enumerate(passes, 1):
        if name in blocks:
            marks = torch.full((count, len(x), len(blocks[name])), -1, device=x.device)
            marks[place] = torch.tensor(blocks[name], device=x.device)
            told[name] = marks.flatten(0, 1)
    each, places = ask(torch.cat([x] * count), at, told)
    f = places if places is None else places.chunk(count)[0]
    return dict(zip(("cond", *passes), each.chunk(count), strict=True)), f
