"""Every place by name."""

from __future__ import annotations

from collections.abc import Callable

from . import (
    places_fields,
    places_indoors,
    places_town,
    places_water,
    places_wild,
    places_wonder,
)
from .scenery import Scenery, View

PLACES: dict[str, Callable[[Scenery], View]] = {
    **places_wild.PLACES,
    **places_fields.PLACES,
    **places_indoors.PLACES,
    **places_water.PLACES,
    **places_town.PLACES,
    **places_wonder.PLACES,
}
