"""Objects: icons of the Fluent Emoji set (MIT, see NOTICE), from their SVG, and our makers'."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TypedDict

import numpy as np
import skia

from . import buildings, figures, flora, vessels
from .kit import Kit, Maker
from .paint import RGB, SIZE, Paint, colour4, luminance, mix, rgb, shade

MAKERS: dict[str, Maker] = {
    "oak": flora.oak,
    "birch": flora.birch,
    "willow": flora.willow,
    "cypress": flora.cypress,
    "blossom-tree": flora.blossom_tree,
    "bamboo": flora.bamboo,
    "bonsai": flora.bonsai,
    "house-drawn": buildings.house,
    "cottage": buildings.cottage,
    "barn": buildings.barn,
    "castle-drawn": buildings.castle,
    "tower": buildings.tower,
    "wizard-tower": buildings.wizard_tower,
    "mushroom-house": buildings.mushroom_house,
    "treehouse": buildings.treehouse,
    "lighthouse": buildings.lighthouse,
    "windmill": buildings.windmill,
    "bridge": buildings.bridge,
    "igloo": buildings.igloo,
    "pyramid": buildings.pyramid,
    "skyscraper": buildings.skyscraper,
    "air-balloon": vessels.air_balloon,
    "airship": vessels.airship,
    "galleon": vessels.galleon,
    "paper-boat": vessels.paper_boat,
    "submarine": vessels.submarine,
    "sea-serpent": vessels.sea_serpent,
    "floating-island": vessels.floating_island,
    "potion": vessels.potion,
    "lantern": vessels.lantern,
    "walker": figures.walker,
    "umbrella-walker": figures.umbrella_walker,
    "balloon-child": figures.balloon_child,
    "hiker": figures.hiker,
    "angler": figures.angler,
}
SKIN_TONES = ("ffd7c2", "eebfaa", "c68d7b", "966661", "573739")
# The icons' skin: fill -> how much darker than the face it is.
SKIN = {"ffc83d": 0.0, "fcb100": -0.1, "fdbb11": -0.08, "f59f00": -0.1, "ed9200": -0.22,
        "d67d00": -0.2}  # fmt: skip
HAIR = {"f1a11e": 0.0, "d37034": -0.2}
HAIR_TONES = ("3a2a26", "6b4428", "c98a3a", "1f1c22", "b5532f")
HEX = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})\b")


class Icon(TypedDict):
    """A drawing on a 32 x 32 grid: SVG body, (left, top, right, bottom) in [0, 1], its main
    fill, and the name of its colour if it has one."""

    body: str
    box: tuple[float, float, float, float]
    main: str | None
    color: str | None


@dataclass(frozen=True)
class Look:
    """How a place lights an object: `tone` colours, `rim` light from `side` (-1 left, 1 right)."""

    kit: Kit
    ambient: RGB = (1.0, 1.0, 1.0)
    tint: RGB = (1.0, 1.0, 1.0)
    tinted: float = 0.0
    rim: RGB = (1.0, 1.0, 1.0)
    strength: float = 0.0
    side: int = -1


@cache
def icons() -> dict[str, Icon]:
    path = files("artdiff_plugins.scenes").joinpath("objects.json")
    return json.loads(path.read_text("utf-8"))["icons"]


def natural_color(pose: str) -> str | None:
    """The colour that a drawing has by itself, if it has one."""
    return icons()[pose]["color"] if pose in icons() else None


def _full(code: str) -> str:
    return code if len(code) == 6 else "".join(c * 2 for c in code)


def _chroma(color: RGB) -> float:
    return max(color) - min(color)


def _hue(color: RGB) -> np.ndarray:
    """Direction of the colour in the plane orthogonal to grey."""
    v = np.array(color) - np.mean(color)
    return v / (np.linalg.norm(v) + 1e-6)


def _dyed(fill: RGB, main: RGB, dye: RGB) -> RGB:
    """A fill after dyeing the main colour; what has another hue stays as it is."""
    if _chroma(main) > 0.18:
        if _chroma(fill) < 0.12 or float(_hue(fill) @ _hue(main)) < 0.55:
            return fill
    elif _chroma(fill) > 0.22 or abs(luminance(fill) - luminance(main)) > 0.38:
        return fill
    ratio = (luminance(fill) + 0.05) / (luminance(main) + 0.05)
    return (
        shade(dye, max(ratio - 1, -0.6)) if ratio < 1 else mix(dye, (1, 1, 1), min(0.6, ratio - 1))
    )


@lru_cache(maxsize=256)
def _drawing(pose: str, color: RGB | None, skin: int, hair: int) -> skia.SVGDOM:
    icon = icons()[pose]

    def paint(match: re.Match[str]) -> str:
        code = _full(match[1])
        if skin >= 0 and (code in SKIN or code in HAIR):
            tone, dark = (
                (SKIN_TONES[skin], SKIN[code]) if code in SKIN else (HAIR_TONES[hair], HAIR[code])
            )
            r, g, b = shade(rgb(tone), dark)
            return f"#{int(r * 255):02x}{int(g * 255):02x}{int(b * 255):02x}"
        if color is not None and icon["main"]:
            r, g, b = _dyed(rgb(code), rgb(icon["main"]), color)
            return f"#{int(r * 255):02x}{int(g * 255):02x}{int(b * 255):02x}"
        return f"#{code}"

    body = HEX.sub(paint, icon["body"])
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32">'
    svg = f"{head}{body}</svg>"
    # The stream must copy: skia reads it after Python has let go of the bytes.
    return skia.SVGDOM.MakeFromStream(skia.MemoryStream(svg.encode(), copyData=True))


def _matrix(look: Look) -> skia.ColorFilter:
    """Multiply by the ambient light, then blend towards the tint."""
    keep, rows = 1 - look.tinted, []
    for k in range(3):
        row = [0.0] * 5
        row[k], row[4] = look.ambient[k] * keep, look.tint[k] * look.tinted
        rows += row
    return skia.ColorFilters.Matrix([*rows, 0, 0, 0, 1, 0])


def draw(
    paint: Paint, pose: str, look: Look, x: float, feet: float, side: float,
    turn: float = 0.0, flip: bool = False, people: bool = False,
) -> None:  # fmt: skip
    """Draw an object `side` wide or high, whichever is more, its feet's middle at (x, feet)."""
    kit, canvas = look.kit, paint.canvas
    sheet = skia.Paint()
    if pose not in MAKERS and (look.tinted or look.ambient != (1.0, 1.0, 1.0)):
        sheet.setColorFilter(_matrix(look))
    skin, hair = (int(kit.rng.integers(5)), int(kit.rng.integers(5))) if people else (-1, 0)
    reach = skia.Rect(x - side, feet - side * 1.25, x + side, feet + side * 0.3)
    if pose == "lighthouse":
        reach = skia.Rect(0, 0, SIZE, SIZE)
    with paint.layer(skia.Paint(), reach):
        with paint.layer(sheet, reach):
            if pose in MAKERS:
                with paint.moved(x, feet, side / 100, turn, flip):
                    MAKERS[pose](kit)
            else:
                left, top, right, bottom = icons()[pose]["box"]
                scale = side / max(right - left, bottom - top) / 32
                with paint.moved(x, feet, scale, turn, flip):
                    canvas.translate(-16 * (left + right), -32 * bottom)
                    _drawing(pose, kit.color, skin, hair).render(canvas)
        if look.strength:
            _rim(paint, look, x, feet, side)


def _rim(paint: Paint, look: Look, x: float, feet: float, side: float) -> None:
    """Light from one side and shade on the other, on what the layer holds already."""
    half = side * 0.55 * look.side
    shadow = shade(look.tint, -0.6)
    shader = skia.GradientShader.MakeLinear(
        points=[(x + half, feet - side), (x - half, feet)],
        colors=[
            colour4(look.rim, look.strength),
            colour4(look.rim, 0),
            colour4(shadow, 0),
            colour4(shadow, look.strength * 0.6),
        ],
        positions=[0, 0.45, 0.55, 1],
    )
    paint.canvas.drawRect(
        skia.Rect(x - side, feet - side * 1.25, x + side, feet + side * 0.3),
        skia.Paint(Shader=shader, BlendMode=skia.BlendMode.kSrcATop),
    )
