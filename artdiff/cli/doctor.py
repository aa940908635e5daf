"""artdiff doctor: is everything there that a render needs?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from artdiff import __version__


@click.command("doctor")
def command() -> None:
    """Check this installation; exit code 1 if something is missing."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("artdiff", lambda: __version__),
        ("python", lambda: f"{platform.python_version()} on {platform.system()}"),
        ("processors", lambda: f"{os.cpu_count()}"),
        ("packages", _packages),
        ("ffmpeg", _ffmpeg),
        ("plugins", _plugins),
        ("presets", _presets),
        ("models", _models),
        ("folder", _folder),
    ]
    failed = False
    for name, check in checks:
        try:
            mark, text = "ok", check()
        except Exception as error:  # every failure is a finding to print
            mark, text, failed = "!!", f"{type(error).__name__}: {error}", True
        click.echo(f"{mark}  {name:11} {' '.join(text.split())}")
    sys.exit(1 if failed else 0)


def _packages() -> str:
    found = []
    for name in ("torch", "numpy", "pillow", "moviepy", "pluggy", "pydantic", "safetensors"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            raise LookupError(f"{name} is not installed") from None
    return ", ".join(found)


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return f"{imageio_ffmpeg.get_ffmpeg_version()} (imageio-ffmpeg)"


def _plugins() -> str:
    from artdiff.errors import PluginWarning
    from artdiff.hookspecs import REGISTRATIONS
    from artdiff.registry import create_registry

    with warnings.catch_warnings():
        warnings.simplefilter("error", PluginWarning)
        registry = create_registry()
    count = sum(len(registry.entries(k)) for k in REGISTRATIONS if k != "datasets")
    return f"{len(registry.plugins)} offer {count} things: {', '.join(registry.plugins)}"


def _presets() -> str:
    from artdiff.plan.resolve import resolve
    from artdiff.preset.file import draft_preset
    from artdiff.registry import create_registry

    registry = create_registry()
    names = list(registry.entries("presets"))
    for name in names:
        resolve(draft_preset(registry, name), registry)
    return f"{len(names)} are valid"


def _models() -> str:
    from artdiff.registry import create_registry

    cards = [entry.value for entry in create_registry().entries("models").values()]
    return ", ".join(f"{card.name} ({card.digest()})" for card in cards)


def _folder() -> str:
    here = Path.cwd()
    if not os.access(here, os.W_OK):
        raise PermissionError(f"{here} cannot be written")
    return f"{here}, {shutil.disk_usage(here).free / 1e9:.1f} GB free"
