"""The guiders, one file for each family; `artdiff.guiders.guider.guided` puts one to work."""

from collections.abc import Mapping
from typing import Any

from artdiff.guiders.apg import APG
from artdiff.guiders.autoguidance import Autoguidance
from artdiff.guiders.cfg import CFG, cfg, dynamic_threshold
from artdiff.guiders.cfg_zero import CFGZeroStar
from artdiff.guiders.guider import Guider, Seen, guided
from artdiff.guiders.tangential import Tangential
from artdiff.guiders.weakened import PAG, SkipLayer

__all__ = [
    "APG",
    "CFG",
    "GUIDERS",
    "PAG",
    "Autoguidance",
    "CFGZeroStar",
    "Guider",
    "Seen",
    "SkipLayer",
    "Tangential",
    "cfg",
    "dynamic_threshold",
    "guided",
]

GUIDERS: Mapping[str, type[Guider[Any]]] = {
    cls.name: cls for cls in (CFG, APG, CFGZeroStar, Tangential, PAG, SkipLayer, Autoguidance)
}
"""The guiders by the name that presets use."""
