"""Writes the parts of the documentation that the code knows best; a test keeps them up to date.

python docs/generate.py
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
RUN_AGAIN = "Written by `python docs/generate.py`; do not edit by hand."


def first_party() -> tuple[str, ...]:
    """The plugins that come with artdiff, whatever else is installed here."""
    points = entry_points(group="artdiff")
    return tuple(sorted(p.name for p in points if p.value.startswith("artdiff_plugins.")))


def generated() -> dict[Path, str]:
    """The text of each generated file, and of each file with a generated part."""
    before = os.environ.get("ARTDIFF_PLUGINS")
    os.environ["ARTDIFF_PLUGINS"] = ",".join(first_party())
    try:
        return {
            HERE / "command-line.md": command_line(),
            HERE / "presets.md": with_parts("presets.md", names=names(), keys=preset_keys()),
            HERE / "gallery.md": with_parts("gallery.md", films=films(True), stills=films(False)),
            HERE / "starter-model.md": with_parts("starter-model.md", words=words()),
        }
    finally:
        if before is None:
            del os.environ["ARTDIFF_PLUGINS"]
        else:
            os.environ["ARTDIFF_PLUGINS"] = before


def with_parts(page: str, **parts: str) -> str:
    """A page with other text between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    text = (HERE / page).read_text("utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}: {RUN_AGAIN} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{page}: the marks {begin} and {end} are missing")
        text = f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"
    return text


# The command line.


def command_line() -> str:
    """What ``--help`` says, of every command."""
    from artdiff.cli import Group, cli

    group = Group(
        cli.name, params=cli.params, help=cli.help, context_settings=cli.context_settings
    )
    parts = [
        "# Command line",
        f"<!-- {RUN_AGAIN} -->",
        "What `artdiff --help` and `artdiff COMMAND --help` say. Results go to standard output, "
        "progress and errors to standard error.",
        "Exit codes: 0 done, 1 the machine failed (a full disk, no permission) or a bug, 2 "
        "something that you can mend, 130 stopped by Ctrl-C.",
        "| variable | means |\n|---|---|\n"
        "| `ARTDIFF_PLUGINS` | unset: all installed plugins; empty: none beside artdiff's own; "
        "`a,b`: these beside them |\n"
        "| `ARTDIFF_MODELS` | the folder of your own models; unset: one that the system keeps for "
        "a user's data |\n"
        "| `ARTDIFF_TRACE=1` | write every hook call to standard error |\n"
        "| `ARTDIFF_DEBUG=1` | show the traceback of an unexpected error |",
    ]
    for title, text in helps(group, "artdiff", None):
        parts.append(f"## {title}\n\n```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def helps(
    command: click.Command, name: str, parent: click.Context | None
) -> list[tuple[str, str]]:
    """Titles and help texts of a command and of everything below it."""
    ctx = click.Context(
        command, info_name=name, parent=parent, terminal_width=78, **command.context_settings
    )
    found = [(ctx.command_path, command.get_help(ctx).rstrip())]
    if isinstance(command, click.Group):
        for child in command.list_commands(ctx):
            below = command.get_command(ctx, child)
            if below is not None:
                found += helps(below, child, ctx)
    return found


# Presets.


def shipped() -> dict[str, dict[str, Any]]:
    """What the files of the presets that ship say."""
    from artdiff.registry import create_registry

    entries = create_registry().entries("presets").items()
    return {name: tomllib.loads(entry.value.read_text("utf-8")) for name, entry in entries}


def names() -> str:
    """Each preset that ships, in a line."""
    rows = [f"| `{name}` | {values['description']} |" for name, values in shipped().items()]
    return "\n".join(["| preset | shows |", "|---|---|", *rows])


def films(moving: bool) -> str:
    """Films or stills of the presets that ship, each with its command and its picture."""
    parts = []
    for name, values in shipped().items():
        frames = values.get("frames", {})
        still = frames.get("source", "still") == "still"
        if ("fps" in frames or not still) == moving:
            film = f" -o {name}.mp4" if still and moving else ""
            parts.append(
                f"## {values['title']}\n\n{values['description']}\n\n"
                f"```sh\nartdiff render {name}{film}\n```\n\n"
                f"![{values['title']}](pictures/{name}.png)"
            )
    return "\n\n".join(parts)


def preset_keys() -> str:
    """Tables of all keys, from the schema that checks presets."""
    from artdiff.curve import Curve
    from artdiff.preset import Preset
    from artdiff.preset.schema import preset_schema
    from artdiff.registry import create_registry

    registry = create_registry()
    schema = preset_schema(registry)
    tables = ("sampler", "sampler.grid", "guidance", "init", "tile", "frames")
    top = {
        name: field | ({"default": plain(Preset.model_fields[name].default)}
                       if isinstance(Preset.model_fields[name].default, Curve) else {})
        for name, field in schema["properties"].items()
        if name not in (*tables, "terms", "effects") and name in Preset.model_fields
    }  # fmt: skip
    parts = ["### At the top", table(top, schema), "### In a prompt"]
    parts.append(table(schema["$defs"]["Prompt"]["properties"], schema))
    named = {
        "sampler": ("samplers", "name"),
        "sampler.grid": ("grids", "name"),
        "guidance": ("guiders", "name"),
        "frames": ("frame_sources", "source"),
    }
    for name in tables:
        kind, key = named.get(name, ("", ""))
        part: Any = Preset
        for key_of in name.split("."):
            part = part.model_fields[key_of].annotation
        known = schema["$defs"][part.__name__]["properties"]
        own = {
            key: known[key] | {"default": plain(field.default)}
            for key, field in part.model_fields.items()
        }
        parts += [f"### `[{name}]`", table(own, schema)]
        for entry in registry.entries(kind).values() if kind else ():
            options = entry.value.Options.model_json_schema().get("properties", {})
            if options:
                parts += [f'With `{key} = "{entry.name}"` also:', table(options, schema)]
    common: dict[str, Any] = {
        "use": {"type": "string", "description": "Name of the class; the label, if left out."},
        "weight": {
            "description": "How strongly; a number or keyframes.",
            "default": 1.0,
            "type": "number",
        },
        "course": {
            "description": "Keyframes over the way from noise, 0%, to the picture, 100%, which "
            "multiply the weight.",
            "default": 1.0,
            "type": "number",
        },
    }
    for name, kind in (("terms", "guidance"), ("effects", "effects")):
        own = common if name == "terms" else {"use": common["use"]}
        parts += [f"### `[{name}.LABEL]`", table(own, schema)]
        for entry in registry.entries(kind).values():
            options = entry.value.Options.model_json_schema().get("properties", {})
            parts += [f"For `{entry.name}`, from plugin `{entry.plugin}`:", table(options, schema)]
            for key, field in options.items():
                if inner := inner_table(field, schema):
                    parts += [f"In `{key}` of `{entry.name}`:", table(inner, schema)]
    return "\n\n".join(part for part in parts if part)


def plain(value: Any) -> Any:
    """A default as it would stand in a file: a curve of one value is that value."""
    from artdiff.curve import Curve
    from artdiff.preset.sampler import GridPart

    if isinstance(value, GridPart):
        return value.name
    return value.plain() if isinstance(value, Curve) else value


def table(properties: dict[str, Any], schema: dict[str, Any]) -> str:
    """A table of keys."""
    if not properties:
        return ""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in properties.items():
        default = field.get("default")
        tables = not isinstance(default, str) and inner_table(field, schema)
        shown = "" if default in (None, "", [], {}) or tables else f"`{toml(default)}`"
        rows.append(
            f"| `{name}` | {kind_of(field, schema)} | {shown} | {field.get('description', '')} |"
        )
    return "\n".join(rows)


def inner_table(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The keys of the tables that a key holds, in one of its forms, if it holds tables."""
    for form in field.get("anyOf", [field]):
        if "items" in form:
            return inner_table(form["items"], schema)
        name = form.get("$ref", "").rpartition("/")[2]
        if properties := schema["$defs"].get(name, {}).get("properties"):
            return properties
    return {}


def toml(value: Any) -> str:
    """A default as a preset would write it."""
    if isinstance(value, dict):
        parts = (
            f'"{k}" = {toml(v)}' if "%" in k else f"{k} = {toml(v)}" for k, v in value.items()
        )
        return f"{{ {', '.join(parts)} }}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:g}" if isinstance(value, float) else str(value)


def kind_of(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """What kind of value a key takes, in words."""
    if "$ref" in field:
        field = schema["$defs"][field["$ref"].rpartition("/")[2]] | field
    if "properties" in field:
        return "table"
    if "enum" in field:
        return ", ".join(f'`"{value}"`' for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(kind_of(part, schema) for part in field["anyOf"]))
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "array": "list",
        "object": "table",
    }
    text = words.get(field.get("type", ""), field.get("type", "any"))
    if text == "list" and "type" in field.get("items", {}):
        text = f"list of {words[field['items']['type']]}s"
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    above = "above " if "exclusiveMinimum" in field else "from "
    if low is not None and abs(low) < 2**53:
        text += f", {above}{low}"
    if high is not None and abs(high) < 2**53:
        text += f", below {high}" if "exclusiveMaximum" in field else f" to {high}"
    return text.replace("above 0 to", "above 0, up to")


# The words that the starter model knows.


def words() -> str:
    """Tables of what the training pictures were drawn by, as far as the starter model knows it."""
    from artdiff_plugins.scenes import words as known

    file = HERE.parent / "artdiff" / "starter" / "vocabulary.txt"
    vocabulary = set(file.read_text("utf-8").split())
    rows = ["| to say | use |", "|---|---|"]

    def heard(phrases: Iterable[str]) -> list[str]:
        return [p for p in phrases if set(re.findall(r"[a-z0-9]+", p)) <= vocabulary]

    def row(what: str, options: Iterable[str]) -> None:
        if said := heard(options):
            rows.append(f"| {what} | {', '.join(said)} |")

    for name, phrases in known.SCENES.items():
        row(f"where: {name}", phrases)
    for name, light in known.LIGHTS.items():
        row(f"when: {name}", list(light.words))
    for title, group in (("season", known.SEASONS), ("weather", known.WEATHERS)):
        for name, phrases in group.items():
            if phrases:
                row(f"{title}: {name}", phrases)
    for name, phrases in known.PATTERNS.items():
        row(f"pattern: {name}", phrases)
    for name, phrases in known.STYLES.items():
        row(f"style: {name}", phrases)
    for name, phrases in known.GRADES.items():
        if phrases:
            row(f"mood: {name}", phrases)
    entries = map(known.object_words, known.OBJECTS.values())
    objects = heard(sorted(noun for entry in entries for noun in entry.singular))
    colours = heard(known.COLOR_WORDS.get(name, [name])[0] for name in known.COLORS)
    grounds = heard(f"on a red background {p[0]}".strip() for p in known.GROUNDS.values())
    groups = (known.NUMBERS, known.SIZES, known.PLACES)
    amounts = heard(word for group in groups for phrases in group.values() for word in phrases)
    return (
        "\n".join(rows)
        + f"\n\nColours: {', '.join(colours)}."
        + f"\n\nBackgrounds: {', '.join(grounds)}."
        + f"\n\nHow many and how big: {', '.join(amounts)}."
        + f"\n\nObjects: {', '.join(objects)}."
    )


def main() -> None:
    for path, text in generated().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.name} written")


if __name__ == "__main__":
    main()
