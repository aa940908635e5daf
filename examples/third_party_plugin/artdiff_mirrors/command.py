"""A command: artdiff symmetry PICTURE..."""

from pathlib import Path

import click


@click.command("symmetry")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def symmetry(pictures):
    """Say how mirror-symmetric PICTURES are, left to right and top to bottom."""
    # numpy and pillow are imported here, so that `artdiff --help` does not wait for them.
    import numpy as np
    from PIL import Image

    for path in pictures:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"), float)
        scores = [1 - abs(picture - np.flip(picture, axis)).mean() / 255 for axis in (1, 0)]
        click.echo(f"{path.name}: {scores[0]:.0%} left to right, {scores[1]:.0%} top to bottom")
