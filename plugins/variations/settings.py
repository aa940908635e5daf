"""What a variation is, as values of a preset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from artdiff import FrameError, FrameJob, PresetError, load_image, read_settings

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
        values: dict[str, Any] = {"seed": start[0], "negative": said["negative"]}
        made_with, at_last = said.get("made_with", {}), said.get("terms", {})
        used = {label: term.get("use", label) for label, term in at_last.items()}
        used |= {k: term.get("use", k) for k, term in made_with.get("terms", {}).items()}
        between, into = start[2] != 0, "inpainting" in used.values()
        if made_with and model in (None, made_with["model"]["name"]):
            values |= _drawn_with(made_with)
            values["guidance"] |= now
            for label, term in values["terms"].items():
                term |= at_last[label]
        else:
            values |= {"width": width, "height": height}
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


def _drawn_with(made_with: Mapping[str, Any]) -> dict[str, Any]:
    """What a picture says of model, sampler and so on, as values of a preset."""
    values = {k: v for k, v in made_with.items() if k not in ("artdiff", "model", "weak", "order")}
    values["model"] = made_with["model"]["name"]
    for table in ("terms", "effects"):
        order = made_with.get("order", {}).get(table, values[table])
        values[table] = {label: dict(values[table][label]) for label in order}
    return values


def weights_note(picture: Path, job: FrameJob) -> str:
    """That a picture was drawn by other weights than are there now; "" if it was not."""
    then, now = read_settings(picture).get("made_with", {}).get("model"), job.made_with["model"]
    if not then or then["name"] != now["name"] or then["weights"] == now["weights"]:
        return ""
    return f"Note: {picture} was drawn by other weights of model {now['name']!r}"


def fitting_note(picture: np.ndarray, drawn: np.ndarray) -> str:
    """What happens to a picture uint8 (H, W, 3) of another size than is drawn; "" if nothing."""
    (height, width), (tall, wide) = picture.shape[:2], drawn.shape[:2]
    if (height, width) == (tall, wide):
        return ""
    cut = "" if height * wide == width * tall else " and cut"
    return f"Note: the picture, {width}x{height}, is scaled{cut} to {wide}x{tall}"


def by_words(picture: Path, taken: Iterable[str] = ()) -> dict[str, Any]:
    """Values that guide towards what a picture shows as well, by the term `clip`.

    :param taken: labels of terms that are there already.
    """
    label = "clip-picture" if "clip" in taken else "clip"
    shown = {"use": "clip", "image_prompts": [str(picture.absolute())], "weight": 30.0}
    return {f"terms.{label}.{key}": value for key, value in shown.items()}


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
