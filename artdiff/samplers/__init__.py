"""The samplers, one file for each family; `artdiff.sample.sample` is the loop of them all."""

from collections.abc import Mapping
from typing import Any

from artdiff.sample import Sampler
from artdiff.samplers.adams import DEIS, IPNDM, LMS, PLMS
from artdiff.samplers.adaptive import Adaptive
from artdiff.samplers.ddim import DDIM
from artdiff.samplers.ddpm import DDPM
from artdiff.samplers.dpmpp import DPMpp2M, DPMpp2MSDE
from artdiff.samplers.dpmpp_single import DPMpp2S, DPMppSDE
from artdiff.samplers.dpmpp_three import DPMpp3M, DPMpp3MSDE
from artdiff.samplers.euler import Euler, EulerAncestral
from artdiff.samplers.heun import DPM2, Heun
from artdiff.samplers.lcm import LCM
from artdiff.samplers.restart import Restart
from artdiff.samplers.tuned import Tuned
from artdiff.samplers.unipc import UniPC

__all__ = [
    "DDIM",
    "DDPM",
    "DEIS",
    "DPM2",
    "IPNDM",
    "LCM",
    "LMS",
    "PLMS",
    "SAMPLERS",
    "Adaptive",
    "DPMpp2M",
    "DPMpp2MSDE",
    "DPMpp2S",
    "DPMpp3M",
    "DPMpp3MSDE",
    "DPMppSDE",
    "Euler",
    "EulerAncestral",
    "Heun",
    "Restart",
    "Tuned",
    "UniPC",
]

SAMPLERS: Mapping[str, type[Sampler[Any]]] = {
    cls.name: cls
    for cls in (
        *(DDPM, DDIM, Euler, EulerAncestral, Heun, DPM2),
        *(DPMpp2M, DPMpp2MSDE, DPMpp3M, DPMpp3MSDE, DPMpp2S, DPMppSDE),
        *(LMS, IPNDM, PLMS, DEIS, UniPC),
        *(LCM, Restart, Adaptive, Tuned),
    )
}
"""The samplers by the name that presets use."""
