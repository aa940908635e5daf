"""What the scenes can show besides objects, and the words people use for it."""

from __future__ import annotations

from dataclasses import dataclass

from .paint import RGB, palette, rgb
from .things import OBJECTS, ObjectWords, object_words

__all__ = ["OBJECTS", "ObjectWords", "object_words"]

COLORS: dict[str, RGB] = {
    "red": rgb("#e23b3b"),
    "orange": rgb("#f58a2b"),
    "yellow": rgb("#fbd23c"),
    "green": rgb("#45a84f"),
    "turquoise": rgb("#35c4bd"),
    "blue": rgb("#3b82e0"),
    "purple": rgb("#8450cf"),
    "pink": rgb("#f37fb2"),
    "brown": rgb("#946040"),
    "white": rgb("#f6f4ef"),
    "gray": rgb("#8d939b"),
    "black": rgb("#23232b"),
    "gold": rgb("#d9a62e"),
    "cream": rgb("#f3e3c3"),
    "navy": rgb("#23356e"),
    "coral": rgb("#f4775f"),
    "mint": rgb("#9fe0c0"),
    "lavender": rgb("#b9a5ec"),
}
COLOR_WORDS = {
    "turquoise": ["turquoise", "teal"],
    "purple": ["purple", "violet"],
    "gray": ["gray", "grey"],
    "gold": ["gold", "golden"],
    "cream": ["cream", "beige"],
    "navy": ["navy", "dark blue"],
    "coral": ["coral", "salmon"],
    "mint": ["mint", "light green"],
    "blue": ["blue"],
}
BODY_COLORS = tuple(COLORS)[:13]
"""The colours that objects are asked for in."""


@dataclass(frozen=True)
class Light:
    """A time of day: skies from the zenith to the horizon, and how it colours the land.

    `ambient` multiplies every colour, then `tinted` of it becomes `tint`; `rim` is the colour
    of the light from the sun's or the moon's side.
    """

    skies: tuple[tuple[RGB, ...], ...]
    ambient: RGB
    tint: RGB
    tinted: float
    rim: RGB
    disc: str
    words: tuple[str, ...]

    @property
    def dark(self) -> bool:
        return self.disc in ("moon", "aurora", "")


def _light(
    skies: str, ambient: str, tint: str, tinted: float, rim: str, disc: str, *words: str
) -> Light:
    choices = tuple(palette(sky) for sky in skies.split("|"))
    return Light(choices, rgb(ambient), rgb(tint), tinted, rgb(rim), disc, words)


LIGHTS = {
    "dawn": _light(
        "#6f7fc4 #b79bd3 #ffc2b4 #ffe9c9|#7f9fd8 #c9b4dc #ffd0cc #fff0d8"
        "|#5f8fc0 #a8c4d8 #f8d8c8 #ffe8b8",
        "#e6ccd8", "#ffb9a8", 0.2, "#ffe0b8", "low sun",
        "at dawn", "at sunrise", "in the early morning", "sunrise", "morning light",
    ),
    "day": _light(
        "#3b95e6 #84caf6 #daf2fc|#4aa8e8 #9adcf4 #eafaf4"
        "|#5b8fe0 #9fc4f4 #e8f0fc",
        "#ffffff", "#ffffff", 0.0, "#fff8d8", "sun",
        "on a sunny day", "at noon", "in daylight", "under a blue sky", "sunny day",
    ),
    "golden": _light(
        "#6fa3d0 #f0cf98 #ffd98a #ffe7a8|#e0a060 #ffc878 #ffe098 #fff0c0"
        "|#88b4c8 #f4dca8 #ffcf88 #ffe0a0",
        "#ffe2b0", "#ffb040", 0.16, "#ffe890", "low sun",
        "at golden hour", "in golden light", "late afternoon", "warm evening light",
    ),
    "sunset": _light(
        "#46286a #a93a6e #ef6f4a #ffc463|#2f3f80 #8f5a9a #f0808a #ffc8a0"
        "|#5a1f4a #c03a4a #f07838 #ffd060",
        "#cf9aa0", "#ff8a4c", 0.28, "#ffb060", "big sun",
        "at sunset", "at sundown", "in the evening", "sunset", "sunset glow",
    ),
    "dusk": _light(
        "#1c2a5c #3f4f90 #8a7ab8 #e8a8b0|#20305a #3f6a98 #88a8c0 #f0c8a8"
        "|#2a2050 #5a4088 #a868a8 #f0a0a8",
        "#8f86b8", "#4a3f90", 0.28, "#f0a8b8", "",
        "at dusk", "at twilight", "at blue hour", "after sunset", "nightfall",
    ),
    "night": _light(
        "#0a1030 #18245c #3a4f92|#0c1a3a #14385c #2f6a80"
        "|#160f38 #30206a #5f4a98",
        "#6678b4", "#1b2a66", 0.34, "#c8d8ff", "moon",
        "at night", "by night", "under the moon", "starry night", "at midnight", "moonlight",
    ),
    "aurora": _light(
        "#06162f #0c304c #23606a|#0a1038 #1a2f60 #2f6a78",
        "#5a86a4", "#1f7a72", 0.30, "#a0ffd8", "aurora",
        "under the aurora", "with northern lights", "aurora", "polar lights",
    ),
}  # fmt: skip
WEATHERS = {
    "clear": [],
    "clouds": ["clouds", "cloudy", "with clouds", "fluffy clouds"],
    "rain": ["rain", "in the rain", "rainy", "rainy day"],
    "snowfall": ["snowing", "falling snow", "snowfall"],
    "fog": ["fog", "foggy", "in the mist", "misty"],
    "rainbow": ["rainbow", "with a rainbow"],
    "storm": ["storm", "thunderstorm", "lightning", "stormy"],
}
SEASONS = {
    "spring": ["in spring", "spring", "springtime", "spring blossoms"],
    "summer": ["in summer", "summer"],
    "autumn": ["in autumn", "autumn", "in fall", "autumn leaves"],
    "winter": ["in winter", "winter", "snowy", "covered in snow"],
}
SCENES = {
    "mountains": ["in the mountains", "mountain landscape", "mountains"],
    "hills": ["in green hills", "rolling hills", "in the hills", "hills"],
    "forest": ["in the forest", "in the woods", "forest"],
    "lake": ["by a lake", "mountain lake", "at the lake", "lake"],
    "sea": ["at sea", "on the sea", "on the ocean", "the sea"],
    "beach": ["on the beach", "on a tropical beach", "beach", "by the sea"],
    "desert": ["in the desert", "desert dunes", "desert"],
    "meadow": ["in a flower field", "in a meadow", "flower meadow", "field of flowers"],
    "snow": ["in the snow", "on a snow field", "snow landscape", "snow"],
    "city": ["in the city", "city skyline", "city", "skyscrapers"],
    "village": ["in a village", "village", "small houses", "in the countryside"],
    "volcano": ["near a volcano", "volcano", "volcano eruption"],
    "space": ["in space", "in outer space", "among the planets", "space"],
    "underwater": ["underwater", "under the sea", "in the deep sea", "coral reef"],
    "canyon": ["in a canyon", "red canyon", "grand canyon", "canyon"],
    "waterfall": ["by a waterfall", "waterfall", "near a waterfall"],
    "river": ["by a river", "river valley", "winding river", "river"],
    "jungle": ["in the jungle", "jungle", "tropical forest", "in the rainforest"],
    "island": ["on an island", "desert island", "tropical island", "island"],
    "harbor": ["in a harbor", "harbor", "fishing harbor", "at the pier"],
    "farm": ["on a farm", "farm fields", "farm", "wheat field"],
    "vineyard": ["in a vineyard", "vineyard", "tuscany hills"],
    "garden": ["in a garden", "garden", "flower garden"],
    "park": ["in the park", "park", "on a park path"],
    "street": ["in the street", "in a city street", "street with lamps", "old town street"],
    "road": ["on the road", "long road", "open road"],
    "arctic": ["in the arctic", "icebergs", "at the north pole", "arctic sea"],
    "cave": ["in a cave", "cave", "crystal cave"],
    "savanna": ["in the savanna", "savanna", "african savanna"],
    "moon": ["on the moon", "moon surface", "lunar landscape"],
    "station": ["in a space station", "spaceship window", "space station"],
    "clouds": ["above the clouds", "sea of clouds", "in the clouds"],
    "lavender": ["in a lavender field", "lavender field", "purple fields"],
    "terraces": ["on rice terraces", "rice terraces", "green terraces"],
    "cliffs": ["on a cliff", "coast with a lighthouse", "sea cliffs", "cliffs"],
    "japan": ["in japan", "mount fuji", "japanese landscape"],
    "bamboo": ["in a bamboo forest", "bamboo forest"],
    "pond": ["in a pond", "lotus pond", "water lilies", "pond"],
    "floating": ["on a floating island", "floating islands", "islands in the sky"],
    "enchanted": ["in an enchanted forest", "magic forest", "mushroom forest"],
    "candy": ["in candy land", "candy land", "sweet land"],
    "fairytale": ["near a castle", "fairy tale castle", "castle on a hill"],
    "ruins": ["in ancient ruins", "ancient ruins", "temple ruins"],
    "synthgrid": ["on a retro grid", "synthwave landscape", "neon grid", "vaporwave sunset"],
    "table": ["on a table", "on a wooden table", "still life"],
    "window": ["by the window", "at the window", "on a window sill"],
    "room": ["in a cozy room", "in a room", "living room"],
    "stage": ["on stage", "on a stage", "in the spotlight"],
}
SEASONAL = {
    "mountains", "hills", "forest", "lake", "village", "waterfall", "river", "garden", "park",
    "fairytale", "pond", "road",
}  # fmt: skip
SKYLESS = {
    "space", "underwater", "cave", "moon", "station", "table", "room", "stage", "synthgrid",
    "candy",
}  # fmt: skip
DRY = {"desert", "canyon", "savanna", "volcano", "ruins"}
INDOORS = {"table", "room", "stage", "station", "cave", "window"}
HOMES = {
    "sea": "www", "lake": "ggw", "harbor": "w", "arctic": "gw", "pond": "w", "underwater": "sss",
    "beach": "gggt", "clouds": "aaa", "floating": "aag", "space": "aaa", "table": "ttt",
    "window": "ttg", "room": "tg", "cliffs": "ga",
}  # fmt: skip
"""Homes of the objects that feel at home in a scene, most likely first; else ground and air."""
PATTERNS = {
    "waves": ["waves", "abstract waves", "wave pattern"],
    "mandala": ["mandala", "mandala pattern"],
    "rays": ["sun rays", "retro sun rays", "starburst"],
    "spiral": ["spiral", "hypnotic spiral", "swirl"],
    "tiles": ["geometric tiles", "bauhaus pattern", "geometric pattern"],
    "triangles": ["triangles", "abstract triangles", "triangle pattern"],
    "circles": ["circles", "abstract circles", "concentric circles"],
    "kaleidoscope": ["kaleidoscope", "kaleidoscope pattern"],
    "stripes": ["stripes", "diagonal stripes", "striped pattern"],
    "blobs": ["soft blobs", "lava lamp", "liquid shapes"],
    "flow": ["flow field", "flowing lines", "abstract lines"],
    "hexagons": ["hexagons", "honeycomb", "hexagon pattern"],
    "layers": ["paper layers", "paper cut layers", "layered paper"],
    "marbling": ["marbling", "marble pattern", "marbled ink"],
    "ripples": ["ripples", "water ripples", "concentric ripples"],
    "contours": ["topographic lines", "contour map", "topographic map"],
    "terrazzo": ["terrazzo", "terrazzo pattern"],
    "fans": ["art deco fans", "art deco pattern", "art deco"],
    "scales": ["fish scales", "scallop pattern", "mermaid scales"],
    "cubes": ["cubes", "isometric cubes", "tumbling blocks"],
    "checker": ["checkerboard", "checkered pattern", "chess board"],
    "plaid": ["plaid", "tartan", "plaid pattern"],
    "dots": ["polka dots", "polka dot pattern", "dotted pattern"],
    "zigzag": ["zigzag", "chevron pattern", "zigzag pattern"],
    "mesh": ["color gradient", "blurred gradient", "soft gradient"],
    "rosette": ["rosette", "flower mandala", "spirograph"],
    "stars": ["star pattern", "stars", "islamic pattern"],
    "petals": ["floral pattern", "flower pattern", "retro flowers"],
    "leaves": ["leaf pattern", "botanical pattern", "tropical leaves"],
    "truchet": ["maze", "truchet tiles", "labyrinth pattern"],
    "mondrian": ["mondrian", "color blocks", "abstract rectangles"],
    "shapes": ["abstract shapes", "suprematist composition", "abstract composition"],
    "arches": ["arches", "rainbow arches", "boho arches"],
    "curtains": ["light curtains", "abstract aurora", "silk folds"],
    "vortex": ["tunnel", "vortex", "time tunnel"],
    "horizon": ["abstract landscape", "abstract sunset", "minimal landscape"],
}
GROUNDS = {
    "plain": [""],
    "gradient": ["gradient"],
    "rays": ["with rays", "with sun rays"],
    "disc": ["in a circle", "on a round badge"],
    "dots": ["with polka dots", "with dots"],
    "glow": ["with a soft glow", "glowing"],
    "bokeh": ["with bokeh lights", "with soft lights"],
    "arch": ["in an arch", "under an arch"],
    "striped": ["with stripes"],
    "waves": ["with waves"],
    "stars": ["with stars"],
    "confetti": ["with confetti"],
    "foliage": ["framed by leaves", "among leaves"],
    "scallops": ["with scallops"],
    "sunset": ["with a big sun"],
    "checks": ["with checks"],
}
STYLES = {
    "flat": ["flat vector illustration", "flat design", "vector art", "flat"],
    "watercolor": ["watercolor", "watercolor painting", "aquarelle"],
    "pixel art": ["pixel art", "8-bit pixel art", "retro game art"],
    "stained glass": ["stained glass", "stained glass window"],
    "line art": ["line art", "ink drawing", "pencil sketch", "line drawing"],
    "halftone": ["halftone", "pop art", "halftone comic", "comic"],
    "mosaic": ["mosaic", "tile mosaic"],
    "oil": ["oil painting", "impressionist painting", "oil on canvas"],
    "neon": ["neon", "neon glow", "neon lights"],
    "low poly": ["low poly", "polygon art"],
    "paper cut": ["paper cut", "papercraft", "cut paper art"],
    "woodblock": ["woodblock print", "ukiyo-e", "japanese print"],
    "chalk": ["chalk drawing", "chalkboard", "chalk art"],
    "crayon": ["crayon drawing", "crayon", "kids drawing"],
    "blueprint": ["blueprint", "technical drawing"],
    "poster": ["vintage poster", "travel poster", "screen print"],
    "clay": ["clay", "3d render", "soft 3d"],
}
GRADES = {
    "natural": [],
    "pastel": ["pastel colors", "soft pastel", "pastel"],
    "synthwave": ["synthwave", "vaporwave", "synthwave colors"],
    "sepia": ["sepia", "vintage", "old photo colors"],
    "mono": ["black and white", "monochrome"],
    "golden": ["golden tones", "warm colors", "warm tones"],
    "icy": ["cold colors", "icy blue", "cool colors"],
}
NUMBERS = {1: ["a", "one"], 2: ["two", "a pair of"], 3: ["three"]}
SIZES = {
    "small": ["small", "little", "tiny"],
    "medium": [],
    "large": ["big", "large", "huge", "giant"],
}
VIEWS = {
    "normal": [],
    "close-up": ["close-up", "close-up of", "portrait of", "macro"],
    "distant": ["in the distance", "far away", "on the horizon"],
}
PLACES = {"center": [], "left": ["on the left"], "right": ["on the right"]}
BESIDE = ["and", "with", "next to", "beside"]
MOODS = {
    "cozy": ["cozy", "warm"],
    "dreamy": ["dreamy", "magical", "ethereal"],
    "dramatic": ["dramatic", "epic", "moody"],
    "peaceful": ["peaceful", "calm", "serene"],
    "vibrant": ["vibrant", "colorful", "bright"],
    "cute": ["cute", "adorable", "lovely"],
    "elegant": ["elegant", "decorative", "minimalist"],
}
FILLERS = [
    "a picture of", "an illustration of", "a drawing of", "a beautiful picture of", "an image of",
    "a painting of", "digital art of", "artwork of",
]  # fmt: skip
TRAILERS = [
    "digital art", "trending on artstation", "highly detailed", "masterpiece", "beautiful",
    "award winning", "illustration", "wallpaper", "high quality", "storybook",
]  # fmt: skip
