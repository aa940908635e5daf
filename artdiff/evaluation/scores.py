"""Scores that need no real pictures: the Inception score and the CLIP score."""

from __future__ import annotations

from torch import Tensor

__all__ = ["clip_scores", "inception_score"]


def inception_score(logits: Tensor, counts: Tensor | None = None) -> float:
    r"""The Inception score, from 1 (one class, or none is sure) to K (all classes, all sure).

    .. math:: \exp \frac1N \sum_i \mathrm{KL}(p(y | x_i) \,\|\, p(y)),
        \quad p(y) = \frac1N \sum_i p(y | x_i)

    Salimans et al., "Improved Techniques for Training GANs", arXiv:1606.03498, section 4.

    :param logits: (N, K) of a classifier, before the softmax.
    :param counts: how often each row counts, (N,); None: once each.
    """
    logits = logits.double()
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    weights = logits.new_ones(len(logits)) if counts is None else counts.to(logits)
    weights = weights / weights.sum()
    log_mean = (weights @ p).clamp(min=1e-300).log()
    return float((weights @ (p * (log_p - log_mean)).sum(1)).exp())


def clip_scores(images: Tensor, texts: Tensor) -> Tensor:
    """100 max(cos(image, text), 0) of each pair: (N, E), (N, E) -> (N,) in [0, 100], float64.

    Hessel et al., "CLIPScore", arXiv:2104.08718, equation 1, with 100 in the place of 2.5, as
    has become usual.
    """
    images, texts = images.double(), texts.double()
    cosine = (images * texts).sum(1) / (images.norm(dim=1) * texts.norm(dim=1)).clamp(min=1e-12)
    return 100 * cosine.clamp(0, 1)
