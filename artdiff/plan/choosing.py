"""From a name in a draft to a class with checked options. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artdiff.errors import PluginError, PresetError, nearest
from artdiff.options import Files
from artdiff.plan import Chosen
from artdiff.preset.check import validate
from artdiff.preset.draft import Draft
from artdiff.preset.part import Part
from artdiff.registry import Entry, Registry


@dataclass(frozen=True)
class Chooser:
    """Finds the classes that a draft names, and checks their options.

    Attributes:
        files: absolute paths by reference of the files that were found, as in `Plan.files`.
    """

    registry: Registry
    draft: Draft
    files: dict[str, str] = field(default_factory=dict)

    def part(self, kind: str, key: str, part: Part, name_key: str = "name") -> Chosen:
        """What a table such as [sampler] names in its key `name_key`.

        :raises PresetError: the name is unknown, or an option is wrong.
        :raises PluginError: an option has the name of one of the table's own keys.
        """
        entry = self._entry(kind, getattr(part, name_key), f"{key}.{name_key}")
        return self._checked(entry, key, key, part.model_extra or {}, type(part).model_fields)

    def labelled(
        self,
        kind: str,
        table: str,
        label: str,
        values: Mapping[str, Any],
        also: Iterable[str] = ("use",),
    ) -> Chosen:
        """What a table such as [terms.LABEL] names in its key `use`, or by its label.

        :param also: keys that may stand beside the options.
        :raises PresetError: the name is unknown, or an option is wrong.
        """
        key, name = f"{table}.{label}", values.get("use", label)
        entry = self._entry(kind, name, key if name == label else f"{key}.use")
        options = {k: v for k, v in values.items() if k not in also}
        return self._checked(entry, label, key, options, also)

    def _entry(self, kind: str, name: Any, key: str) -> Entry:
        entries = self.registry.entries(kind)
        if not isinstance(name, str) or name not in entries:
            singular = "guidance term" if kind == "guidance" else kind.replace("_", " ")[:-1]
            near = nearest(str(name), entries)
            if not near.endswith("?"):
                near += "; others come with plugins, by pip install or --plugin FILE"
            raise PresetError(f"{self.draft.at(key)}: unknown {singular} {name!r}{near}")
        return entries[name]

    def _checked(
        self, entry: Entry, label: str, key: str, values: Mapping[str, Any], also: Iterable[str]
    ) -> Chosen:
        twice = set(entry.value.Options.model_fields) & set(also)
        if twice:
            raise PluginError(
                f"plugin {entry.plugin!r}: {entry.name!r} has an option {min(twice)!r}, which is "
                f"a key of [{key}] already; give it another name"
            )
        found = Files(lambda name: folder(self.draft, f"{key}.{name}"), self.files)
        options = validate(self.draft, entry.value.Options, values, key, also, found)
        return Chosen(label, entry.name, entry.value, options, entry.plugin)


def folder(draft: Draft, key: str) -> Path:
    """The folder that file names in the value of a dotted key are relative to.

    It is that of the preset file that said the value; the working folder for anything else.
    """
    path = Path(draft.where(key))
    return path.parent if path.suffix == ".toml" and path.is_file() else Path()
