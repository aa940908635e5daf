"""How much one picture differs from another."""

from __future__ import annotations

import numpy as np


def rms_change(a: np.ndarray, b: np.ndarray) -> float:
    """RMS difference of two pictures (H, W, 3) whose values reach 255, in [0, 1]."""
    return float(np.sqrt(np.square((a.astype(np.float32) - b) / 255).mean()))
