"""What a variation is, as values of a preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from artdiff import FrameError, PresetError, load_image, read_settings

How = Literal["noise", "inversion"]
APART = 0.15
"""How far several pictures of one inversion lie apart: `subseed_strength`."""


def by_image(
    picture: Path, how: How, strength: float | None, seed: int, number: int, shows: str
) -> dict[str, Any]:
    """Values for pictures that start from any picture: `[init]`, with noise or by inversion.

    By inversion all seeds would give the same picture, so that several have subseeds.

    :raises FrameError: it is not a picture.
    """
    load_image(picture)
    values: dict[str, Any] = {
        "seed": seed,
        "init.image": str(picture.absolute()),
        "init.how": how,
        "init.strength": (0.5 if how == "noise" else 1.0) if strength is None else strength,
    }
    if shows:
        values["init.prompt"] = shows
    if how == "inversion" and number > 1:
        values |= {"subseed": seed, "subseed_strength": APART}
    return values


def by_subseed(
    picture: Path, subseed: int, strength: float | None, model: str | None = None
) -> dict[str, Any]:
    """Values for pictures whose noise lies near that of a picture that artdiff made.

    All that decided its pixels is read from the PNG. To another `model` only prompts, negative,
    seed, size and strength of guidance are taken along, and so they are of a picture that holds
    no more.

    :raises FrameError: it was made otherwise: by another program, from a mix of noise, from a
        picture, or into one.
    """
    said = read_settings(picture)
    height, width = load_image(picture).shape[:2]
    try:
        prompts, now, start = said["prompts"], dict(said["guidance"]), said["start"]
        mix = [{"text": text, "weight": weight} for text, weight in prompts]
        between, into = start[2] != 0, "inpainting" in said.get("terms", {})
        values: dict[str, Any] = {
            "seed": start[0],
            "negative": said["negative"],
            "width": width,
            "height": height,
        }
        made_with = said.get("made_with", {})
        if made_with and model in (None, made_with["model"]["name"]):
            terms = {k: v | said["terms"][k] for k, v in made_with["terms"].items()}
            rest = {k: v for k, v in made_with.items() if k != "artdiff"}
            rest |= {"model": made_with["model"]["name"], "terms": terms}
            values |= rest | {"guidance": made_with["guidance"] | now}
        else:
            values["guidance"] = {key: now[key] for key in ("scale", "rescale")}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise FrameError(
            f"{picture}: carries settings that are not those of a drawn picture"
        ) from None
    if between or into or "init" in said:
        origin = "from a picture" if "init" in said else "between two seeds"
        made = "into a picture" if into else origin
        raise FrameError(
            f"{picture}: was drawn {made}, so that it has no noise of its own to vary; vary it "
            "by --strength"
        )
    return values | {
        "prompt": mix[0]["text"] if len(mix) == 1 else mix,
        "subseed": subseed,
        "subseed_strength": 0.3 if strength is None else strength,
    }


def fitting_note(picture: np.ndarray, drawn: np.ndarray) -> str:
    """What happens to a picture uint8 (H, W, 3) of another size than is drawn; "" if nothing."""
    (height, width), (tall, wide) = picture.shape[:2], drawn.shape[:2]
    if (height, width) == (tall, wide):
        return ""
    cut = "" if height * wide == width * tall else " and cut"
    return f"Note: the picture, {width}x{height}, is scaled{cut} to {wide}x{tall}"


def by_words(picture: Path) -> dict[str, Any]:
    """Values that guide towards what a picture shows as well, by the term `clip`."""
    return {"terms.clip.image_prompts": [str(picture.absolute())], "terms.clip.weight": 30.0}


def sized(size: str | None) -> dict[str, Any]:
    """Width and height of a text such as 256x256; nothing for None.

    :raises PresetError: it is another text.
    """
    if size is None:
        return {}
    width, _, height = size.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise PresetError(f"--size {size}: write WIDTHxHEIGHT, such as 256x256")
    return {"width": int(width), "height": int(height)}


def toml(value: Any) -> str:
    """A text, a number, or lists and tables of these, in TOML; what is None is left out."""
    if isinstance(value, dict):
        said = {json.dumps(key): toml(part) for key, part in value.items() if part is not None}
        return f"{{ {', '.join(f'{key} = {part}' for key, part in said.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
