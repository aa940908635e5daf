"""Draw the pictures that the sheets of variations start from: scenes that no model has drawn.

    python bench/vary_sources.py
"""

from pathlib import Path

from PIL import Image

from artdiff_plugins.scenes.dataset import Scenes

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def main() -> None:
    scenes = Scenes(Scenes.Options())
    for name, index in (("meadow", 3), ("tree", 17)):
        target = PICTURES / f"vary-source-{name}.png"
        Image.fromarray(scenes.picture(index)).save(target, optimize=True)
        print(target, scenes.caption(index, 0))


if __name__ == "__main__":
    main()
