"""Importing open_clip, torchvision and what is built on them, where torchvision is half broken."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from artdiff.errors import ModelError

_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[Any] = []
"""Libraries of declared operators; they are forgotten when nothing holds them."""


def mend_torchvision() -> None:
    """Let ``import torchvision`` work beside a torch that its C extension was not built for.

    Such a pair (a CPU build of torch with torchvision's plain wheel, say) dies at import with
    "operator torchvision::nms does not exist", although nothing that looks at whole pictures
    needs that operator. Only in this case are the two missing operators declared, without an
    implementation: calling them stays an error. Where torchvision works or is not installed,
    nothing happens; a second call does nothing.
    """
    if "torchvision" in sys.modules or find_spec("torchvision") is None:
        return
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare()
        import_module("torchvision")


def _declare() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + _BOXES)
    _kept.append(library)


def import_open_clip() -> ModuleType:
    """The module ``open_clip``.

    :raises ModelError: it is not installed; the message says what to type.
    """
    return import_mended("open_clip", "open_clip_torch")


def import_mended(name: str, package: str) -> ModuleType:
    """A module that imports torchvision; `package` is what pip calls it.

    :raises ModelError: it is not installed; the message says what to type.
    """
    if find_spec(name) is None:
        raise ModelError(f"this needs {name}, which is not installed; pip install {package}")
    mend_torchvision()
    return import_module(name)
