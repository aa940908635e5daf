"""The command line: a group that loads commands when they are named, and one error boundary."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from artdiff import __version__
from artdiff.errors import (
    ArtdiffError,
    MachineWarning,
    ModelWarning,
    PluginWarning,
    PromptWarning,
    nearest,
)

if TYPE_CHECKING:
    from artdiff.registry import Registry

COMMANDS = {
    "render": ("artdiff.cli.render", "Render a preset to a film or to pictures."),
    "image": ("artdiff.cli.image", "Make pictures of a prompt."),
    "plan": ("artdiff.cli.plan", "Say what a render will do, and how long it takes."),
    "pace": ("artdiff.cli.pace", "Space the frames of a film by how much it changes."),
    "sheet": ("artdiff.cli.sheet", "Draw a contact sheet or a film strip of frames."),
    "presets": ("artdiff.cli.presets", "List, show and describe presets."),
    "plugins": ("artdiff.cli.plugins", "List, show and begin plugins."),
    "models": ("artdiff.cli.models", "List, show, add and tune models."),
    "train": ("artdiff.cli.train", "Train a model by a recipe."),
    "evaluate": ("artdiff.cli.evaluate", "Measure a model: FID, KID, precision, recall."),
    "doctor": ("artdiff.cli.doctor", "Check this installation."),
}
MACHINE_FAULTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


class Group(click.Group):
    """Commands of artdiff by module name, then those that plugins add."""

    registry: Registry | None = None
    """What offers the plugins' commands; made when it is first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._add_plugin_commands()
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return getattr(import_module(COMMANDS[cmd_name][0]), "command")  # noqa: B009
        self._add_plugin_commands()
        return self.commands.get(cmd_name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        name = name or cmd.name or ""
        if name in COMMANDS or name in self.commands:
            raise ValueError(f"there is a command {name!r} already")
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        try:
            names = self.list_commands(ctx)
        except ArtdiffError as error:  # help is wanted most when something is wrong
            _say(f"Commands of plugins are missing here: {error}")
            names = list(COMMANDS)
        for name in names:
            short = (
                COMMANDS[name][1]
                if name in COMMANDS
                else (self.commands[name].get_short_help_str())
            )
            rows.append((name, short))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
                known = self.list_commands(ctx)
                raise click.UsageError(
                    f"no command {args[0]!r}{nearest(args[0], known)}", ctx
                ) from error
            raise

    def _add_plugin_commands(self) -> None:
        if self.registry is None:
            from artdiff.registry import create_registry

            registry = create_registry()
            self.commands.clear()  # of plugins that were read before
            with registry.blaming():
                registry.hook.register_commands(cli=self)
            self.registry = registry


GOING_ON = {"render", "train", "evaluate"}
"""Commands that go on where they were stopped."""


@click.group("artdiff", cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="artdiff")
def cli() -> None:
    """Pictures and films from prompts: a preset becomes a film, a plugin bends its path."""


def main(args: list[str] | None = None) -> None:
    """Run the command line; the one place where errors become a line and an exit code."""
    warnings.showwarning = _show_warning
    try:
        code = cli.main(args, prog_name="artdiff", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        command = (sys.argv[1:] if args is None else args)[:1]
        resumed = "; what is finished is kept, the same command goes on from there"
        _say(f"stopped{resumed if set(command) & GOING_ON else ''}")
        sys.exit(130)
    except ArtdiffError as error:
        _say(f"Error: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("ARTDIFF_DEBUG"):
            raise
        blamed = cli.registry.blame(error) if cli.registry else None
        _say(f"Error: {blamed or _unexpected(error)}")
        sys.exit(blamed.exit_code if blamed else 1)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    if issubclass(category, PromptWarning | ModelWarning | PluginWarning | MachineWarning):
        _say(f"Note: {message}")


def _say(message: str) -> None:
    click.echo(" ".join(message.split()), err=True)


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in MACHINE_FAULTS:
        return f"{error.filename or 'a file'}: {error.strerror}"
    memory = ("not enough memory", "can't allocate memory", "out of memory")
    if isinstance(error, MemoryError) or any(text in str(error) for text in memory):
        return "not enough memory; lower batch, width or height"
    text = f"{type(error).__name__}: {error}"
    return f"{text} (this is a bug of artdiff; ARTDIFF_DEBUG=1 shows where)"
