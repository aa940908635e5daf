"""Every error that artdiff raises on purpose.

::

    ArtdiffError                exit code 2: the user can mend it, the message says how
    ├── PresetError             a preset, an override or a recipe is wrong
    ├── PluginError             a plugin is missing, clashes with another or raised
    ├── ModelError              a model is unknown or its weights are missing or damaged
    ├── FrameError              a frame folder holds other settings, or damaged frames
    ├── VideoError              a film could not be written, or is not what was asked for
    └── MachineError            exit code 1: the machine failed us (disk full, no permission, ...)

Messages are one line: what is wrong, where (file and key), and the nearest right value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArtdiffError(Exception):
    """Base of all errors that artdiff raises on purpose."""

    exit_code = 2


class PresetError(ArtdiffError):
    """A preset, an override or a recipe is wrong."""


class PluginError(ArtdiffError):
    """A plugin is missing, clashes with another one, or raised an error of its own."""


class ModelError(ArtdiffError):
    """A model is unknown, or its weights are missing or damaged."""


class FrameError(ArtdiffError):
    """A frame folder belongs to other settings, or holds damaged frames."""


class VideoError(ArtdiffError):
    """A film could not be written, or the written film is not what was asked for."""


class MachineError(ArtdiffError):
    """The machine failed us: the disk is full, a folder cannot be written."""

    exit_code = 1


class PromptWarning(UserWarning):
    """A prompt holds words that mean nothing to the model; the picture is made without them."""


class ModelWarning(UserWarning):
    """A folder among the user's models holds no model that can be used; it is left out."""


class PluginWarning(UserWarning):
    """A plugin that is installed, and that nobody asked for by name, is broken; it is left out."""


class MachineWarning(UserWarning):
    """This machine cannot do what was asked as it was meant; it is done in another way."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the nearest known name as ``; did you mean 'x'?``, or list what is known.

    >>> nearest("eulr", ["euler", "heun"])
    "; did you mean 'euler'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
