"""Mirrors, film grain and a pendulum for artdiff.

This module is what artdiff imports at its start, so it holds nothing but the hooks; what they
offer is imported inside of them, when it is first asked for.
"""

from importlib.resources import files

from artdiff import hookimpl


@hookimpl
def register_guidance():
    from artdiff_mirrors.mirror import Mirror

    return {"mirror": Mirror}


@hookimpl
def register_effects():
    from artdiff_mirrors.grain import Grain

    return {"grain": Grain}


@hookimpl
def register_frame_sources():
    from artdiff_mirrors.pendulum import Pendulum

    return {"pendulum": Pendulum}


@hookimpl
def register_presets():
    return {"mirror-dance": files("artdiff_mirrors").joinpath("mirror-dance.toml")}


@hookimpl
def register_commands(cli):
    from artdiff_mirrors.command import symmetry

    cli.add_command(symmetry)
