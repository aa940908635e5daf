"""Guidance by differentiable scorers: colours, shapes, edges, light, style (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_guidance() -> dict[str, type]:
    from .composition import Composition
    from .edges import Edges
    from .exposure import Exposure
    from .likeness import Likeness
    from .palette import Palette
    from .seamless import Seamless
    from .style import Style
    from .symmetry import Symmetry
    from .tiling import Tiling

    return {
        "composition": Composition,
        "edges": Edges,
        "exposure": Exposure,
        "likeness": Likeness,
        "palette": Palette,
        "seamless": Seamless,
        "style": Style,
        "symmetry": Symmetry,
        "tiling": Tiling,
    }
