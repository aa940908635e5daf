"""Masks, inpainting and outpainting (hookimpls only)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artdiff import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_guidance() -> dict[str, type]:
    from .term import Inpainting

    return {"inpainting": Inpainting}


@hookimpl
def register_samplers() -> dict[str, type]:
    from .repaint import RePaint

    return {"repaint": RePaint}


@hookimpl
def register_commands(cli: click.Group) -> None:
    from .command import inpaint, outpaint

    cli.add_command(inpaint)
    cli.add_command(outpaint)
