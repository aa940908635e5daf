"""What the options of plugins share: none at all, and names of files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, ValidationInfo
from pydantic.fields import FieldInfo

__all__ = ["File", "Files", "NoOptions", "is_file"]

_REFERENCE = re.compile(r"(.+)@([0-9a-f]{16})")


class NoOptions(BaseModel, extra="forbid"):
    """There are no options."""


@dataclass
class Files:
    """The files that options name, found while a preset is checked.

    Attributes:
        beside: the folder that names in a field are relative to.
        found: absolute paths by reference; a reference, ``name.png@0123456789abcdef``, is the
            file's name and a hash of what is in it: the same on every machine.
    """

    beside: Callable[[str], Path]
    found: dict[str, str] = field(default_factory=dict)

    def refer(self, name: str, key: str) -> str:
        """Find the file that a field names; "" stays "", a reference that is known stays itself.

        A reference from the settings of a picture is the file of that name, if it holds the same.

        :raises ValueError: there is no such file.
        """
        if not name or name in self.found:
            return name
        path, wanted = (self.beside(key) / name).resolve(), None
        if not path.exists() and (said := _REFERENCE.fullmatch(name)):
            path, wanted = (self.beside(key) / said[1]).resolve(), said[2]
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "no such file"
            raise ValueError(f"{what}: {path}")
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
        if wanted not in (None, digest):
            raise ValueError(f"{path} is not the file that is meant: it holds something else now")
        reference = f"{path.name}@{digest}"
        self.found[reference] = str(path)
        return reference


def _refer(name: str, info: ValidationInfo) -> str:
    files = info.context
    return files.refer(name, info.field_name or "") if isinstance(files, Files) else name


File: TypeAlias = Annotated[str, AfterValidator(_refer)]
"""The field of a plugin's `Options` that names a file; "" may stand for none.

In a preset the name is relative to the preset's own file. What the plugin gets is a reference, for
``setup.path``, ``setup.picture`` and ``setup.alpha``; that of another content is another one.
"""


def is_file(field: FieldInfo) -> bool:
    """Whether a field of a plugin's options names a file, or holds what does."""
    return _names_files(field.annotation) or _marked(field.metadata)


def _names_files(kind: object) -> bool:
    return any(_marked(getattr(part, "__metadata__", ())) or _names_files(part)
               for part in get_args(kind))  # fmt: skip


def _marked(metadata: Iterable[object]) -> bool:
    return any(isinstance(m, AfterValidator) and m.func is _refer for m in metadata)
