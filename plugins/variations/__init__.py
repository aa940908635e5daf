"""Variations of a picture: the command `vary` (hookimpls only)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artdiff import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def register_commands(cli: click.Group) -> None:
    from .command import command

    cli.add_command(command)
