"""What the scenes can show, and the words people use for it."""

from __future__ import annotations

from dataclasses import dataclass

from .paint import RGB, rgb

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
}
COLOR_WORDS = {
    "turquoise": ["turquoise", "teal"],
    "purple": ["purple", "violet"],
    "gray": ["gray", "grey"],
    "gold": ["gold", "golden"],
}


@dataclass(frozen=True)
class Light:
    """A time of day: sky colours from the zenith to the horizon, and how it colours the land."""

    sky: tuple[RGB, ...]
    ambient: RGB
    tint: RGB
    tinted: float
    disc: str
    words: tuple[str, ...]


def _light(sky: str, ambient: str, tint: str, tinted: float, disc: str, *words: str) -> Light:
    return Light(tuple(map(rgb, sky.split())), rgb(ambient), rgb(tint), tinted, disc, words)


LIGHTS = {
    "dawn": _light(
        "#6f7fc4 #b79bd3 #ffc2b4 #ffe9c9",
        "#e2c8d6",
        "#ffb9a8",
        0.22,
        "low sun",
        "at dawn",
        "at sunrise",
        "in the early morning",
        "sunrise",
    ),
    "day": _light(
        "#3b95e6 #84caf6 #daf2fc",
        "#ffffff",
        "#ffffff",
        0.0,
        "sun",
        "on a sunny day",
        "at noon",
        "in daylight",
        "under a blue sky",
        "sunny day",
    ),
    "sunset": _light(
        "#46286a #a93a6e #ef6f4a #ffc463",
        "#c9949a",
        "#ff8a4c",
        0.30,
        "big sun",
        "at sunset",
        "at dusk",
        "in the evening",
        "sunset",
    ),
    "night": _light(
        "#0a1030 #18245c #3a4f92",
        "#6273b0",
        "#1b2a66",
        0.35,
        "moon",
        "at night",
        "by night",
        "under the moon",
        "starry night",
        "at midnight",
    ),
    "aurora": _light(
        "#06162f #0c304c #23606a",
        "#5580a0",
        "#1f7a72",
        0.30,
        "aurora",
        "under the aurora",
        "with northern lights",
        "aurora",
    ),
}
WEATHERS = {
    "clear": [],
    "clouds": ["clouds", "cloudy", "with clouds"],
    "rain": ["rain", "in the rain", "rainy"],
    "snowfall": ["snowing", "falling snow", "snowfall"],
    "fog": ["fog", "foggy", "in the mist", "misty"],
    "rainbow": ["rainbow", "with a rainbow"],
    "storm": ["storm", "thunderstorm", "lightning", "stormy"],
}
SEASONS = {
    "spring": ["in spring", "spring", "springtime"],
    "summer": ["in summer", "summer"],
    "autumn": ["in autumn", "autumn", "in fall"],
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
    "city": ["in the city", "city skyline", "in a city street", "city"],
    "village": ["in a village", "village", "small houses", "in the countryside"],
    "volcano": ["volcano", "near a volcano", "volcano eruption"],
    "space": ["in space", "in outer space", "among the planets", "space"],
    "underwater": ["underwater", "under the sea", "in the deep sea"],
}
SEASONAL = {"mountains", "hills", "forest", "lake", "village"}
SKYLESS = {"space", "underwater"}
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
}
GROUNDS = {
    "plain": [""],
    "gradient": [""],
    "rays": ["with rays", "with sun rays"],
    "disc": ["in a circle", "on a round badge"],
    "dots": ["with polka dots", "with dots"],
}
STYLES = {
    "flat": ["flat vector illustration", "flat design", "vector art", "flat"],
    "watercolor": ["watercolor", "watercolor painting", "aquarelle"],
    "pixel art": ["pixel art", "8-bit pixel art", "retro game art"],
    "stained glass": ["stained glass", "stained glass window"],
    "line art": ["line art", "ink drawing", "pencil sketch", "line drawing"],
    "halftone": ["halftone", "pop art", "halftone comic"],
    "mosaic": ["mosaic", "tile mosaic"],
    "oil": ["oil painting", "impressionist painting", "oil on canvas"],
    "neon": ["neon", "neon glow", "neon lights"],
    "low poly": ["low poly", "polygon art"],
}
GRADES = {
    "natural": [],
    "pastel": ["pastel colors", "soft pastel", "pastel"],
    "synthwave": ["synthwave", "vaporwave", "synthwave colors"],
    "sepia": ["sepia", "vintage", "old photo colors"],
    "mono": ["black and white", "monochrome"],
    "golden": ["golden light", "warm colors", "golden hour"],
    "icy": ["cold colors", "icy blue", "cool colors"],
}
NUMBERS = {1: ["a", "one"], 2: ["two", "a pair of"], 3: ["three"]}
SIZES = {
    "small": ["small", "little", "tiny"],
    "medium": [],
    "large": ["big", "large", "huge", "giant"],
}
PLACES = {"center": [], "left": ["on the left"], "right": ["on the right"]}
FILLERS = ["", "", "", "", "", "", "", "a picture of", "an illustration of", "a drawing of"]

# Icon: home (g ground, a air, w water, s sea bed) and names (plural in brackets if not + s).
OBJECTS: dict[str, str] = {
    "fox": "g fox(foxes)",
    "wolf": "g wolf(wolves)",
    "cat": "g cat,kitten",
    "dog": "g dog,puppy(puppies)",
    "rabbit": "g rabbit,bunny(bunnies)",
    "bear": "g bear",
    "panda": "g panda",
    "koala": "g koala",
    "lion": "g lion",
    "tiger": "g tiger",
    "pig": "g pig",
    "cow": "g cow",
    "horse": "g horse",
    "unicorn": "g unicorn",
    "zebra": "g zebra",
    "giraffe": "g giraffe",
    "elephant": "g elephant",
    "rhinoceros": "g rhino",
    "kangaroo": "g kangaroo",
    "camel": "g camel",
    "llama": "g llama",
    "deer": "g deer(deer)",
    "ewe": "g sheep(sheep)",
    "raccoon": "g raccoon",
    "chipmunk": "g squirrel,chipmunk",
    "hedgehog": "g hedgehog",
    "mouse": "g mouse(mice)",
    "monkey": "g monkey",
    "gorilla": "g gorilla",
    "frog": "g frog",
    "turtle": "g turtle,tortoise",
    "crocodile": "g crocodile",
    "snake": "g snake",
    "dragon": "a dragon",
    "sauropod": "g dinosaur,brontosaurus(dinosaurs)",
    "t-rex": "g t-rex(t-rexes)",
    "owl": "a owl",
    "penguin": "g penguin",
    "duck": "w duck",
    "swan": "w swan",
    "flamingo": "g flamingo",
    "parrot": "a parrot",
    "peacock": "g peacock",
    "eagle": "a eagle",
    "dove": "a dove",
    "bird": "a bird",
    "rooster": "g rooster",
    "baby-chick": "g chick",
    "bat": "a bat",
    "fish": "s fish(fish)",
    "tropical-fish": "s tropical fish(tropical fish)",
    "shark": "s shark",
    "whale": "s whale",
    "dolphin": "s dolphin",
    "seal": "w seal",
    "octopus": "s octopus(octopuses)",
    "crab": "g crab",
    "lobster": "s lobster",
    "jellyfish": "s jellyfish(jellyfish)",
    "snail": "g snail",
    "butterfly": "a butterfly(butterflies)",
    "honeybee": "a bee,honeybee",
    "lady-beetle": "g ladybug",
    "spider": "g spider",
    "rose": "g rose",
    "tulip": "g tulip",
    "sunflower": "g sunflower",
    "cherry-blossom": "g cherry blossom",
    "lotus": "w lotus(lotuses)",
    "mushroom": "g mushroom",
    "cactus": "g cactus(cactuses)",
    "evergreen-tree": "g pine tree,fir tree",
    "deciduous-tree": "g tree,oak tree",
    "palm-tree": "g palm tree",
    "four-leaf-clover": "g clover",
    "maple-leaf": "a maple leaf(maple leaves)",
    "potted-plant": "g potted plant",
    "red-apple": "g apple",
    "banana": "g banana",
    "cherries": "g cherry(cherries)",
    "strawberry": "g strawberry(strawberries)",
    "grapes": "g grapes(grapes)",
    "watermelon": "g watermelon",
    "pineapple": "g pineapple",
    "lemon": "g lemon",
    "carrot": "g carrot",
    "jack-o-lantern": "g pumpkin,halloween pumpkin",
    "pizza": "g pizza",
    "hamburger": "g hamburger,burger",
    "soft-ice-cream": "g ice cream(ice creams)",
    "cupcake": "g cupcake",
    "birthday-cake": "g cake,birthday cake",
    "doughnut": "g donut",
    "hot-beverage": "g coffee cup,cup of tea",
    "teapot": "g teapot",
    "automobile": "g car",
    "bus": "g bus(buses)",
    "locomotive": "g train,locomotive",
    "tractor": "g tractor",
    "bicycle": "g bicycle,bike",
    "motor-scooter": "g scooter,vespa",
    "airplane": "a airplane,plane",
    "helicopter": "a helicopter",
    "rocket": "a rocket,spaceship",
    "flying-saucer": "a ufo,flying saucer",
    "sailboat": "w sailboat,sailing boat",
    "ship": "w ship",
    "fire-engine": "g fire truck",
    "parachute": "a parachute",
    "satellite": "a satellite",
    "racing-car": "g racing car",
    "house": "g house",
    "castle": "g castle",
    "japanese-castle": "g pagoda,japanese castle",
    "church": "g church(churches)",
    "tent": "g tent",
    "ferris-wheel": "g ferris wheel",
    "circus-tent": "g circus tent",
    "balloon": "a balloon",
    "kite": "a kite",
    "wrapped-gift": "g gift,present",
    "red-heart": "a heart",
    "star": "a star",
    "crown": "g crown",
    "gem-stone": "g diamond,gem",
    "guitar": "g guitar",
    "violin": "g violin",
    "drum": "g drum",
    "camera": "g camera",
    "light-bulb": "a light bulb",
    "candle": "g candle",
    "alarm-clock": "g alarm clock,clock",
    "hourglass-done": "g hourglass(hourglasses)",
    "key": "g key",
    "umbrella": "g umbrella",
    "bell": "g bell",
    "anchor": "g anchor",
    "telescope": "g telescope",
    "teddy-bear": "g teddy bear",
    "soccer-ball": "g soccer ball,football",
    "trophy": "g trophy(trophies)",
    "top-hat": "g top hat,hat",
    "crystal-ball": "g crystal ball",
    "robot": "g robot",
    "ghost": "a ghost",
    "alien": "a alien",
    "skull": "g skull",
    "snowman": "g snowman(snowmen)",
    "christmas-tree": "g christmas tree",
    "ringed-planet": "a planet,saturn",
    "snowflake": "a snowflake",
    "fire": "g fire,campfire",
    "man-mage": "g wizard",
    "astronaut": "a astronaut",
    "ninja": "g ninja",
    "woman-fairy": "a fairy(fairies)",
    "woman-merpeople": "s mermaid",
    "open-book": "g book",
}


@dataclass(frozen=True)
class ObjectWords:
    """Where an object lives, and what it is called."""

    home: str
    singular: tuple[str, ...]
    plural: tuple[str, ...]


def object_words(entry: str) -> ObjectWords:
    """Read an entry of OBJECTS, ``"g rabbit,bunny(bunnies)"``."""
    home, _, names = entry.partition(" ")
    singular, plural = [], []
    for name in names.split(","):
        one, _, many = name.partition("(")
        singular.append(one)
        plural.append(many.rstrip(")") or f"{one}s")
    return ObjectWords(home, tuple(singular), tuple(plural))
