"""Files that are there whole or not at all: temporary names, atomic writes, swept leftovers."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artdiff.errors import MachineError

_TEMP = re.compile(r"\.artdiff-tmp-(\w+)-(\d+)-[0-9a-f]{16}-(.+)", re.DOTALL)
_HOST = re.sub(r"\W", "_", socket.gethostname()) or "host"
_STALE_SECONDS = 3600.0


def temp_beside(target: Path) -> Path:
    """A fresh temporary name in the folder of ``target``, with its suffix; see `sweep_temps`."""
    token = secrets.token_hex(8)
    return target.with_name(f".artdiff-tmp-{_HOST}-{os.getpid()}-{token}-{target.name}")


def sweep_temps(folder: Path, name: str | None = None) -> None:
    """Remove temporary files that dead processes left in ``folder`` (only those for ``name``).

    A file is left over when its process on this machine is gone, or when it is an hour old.
    Raises OSError.
    """
    for path in folder.iterdir():
        found = _TEMP.fullmatch(path.name)
        if found and name in (None, found[3]) and _is_left_over(path, found[1], int(found[2])):
            path.unlink(missing_ok=True)


def _is_left_over(path: Path, host: str, pid: int) -> bool:
    # Windows has no harmless way to ask with os.kill, so there only age counts.
    if host == _HOST and os.name == "posix" and not _is_alive(pid):
        return True
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except FileNotFoundError:  # its owner has just finished it
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # alive, of another user
        return True
    return True


def write_whole(target: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write a file so that it is there whole or not at all; raises OSError.

    With ``exclusive``, an existing file wins: FileExistsError.
    """
    temp = temp_beside(target)
    try:
        with open(temp, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exclusive and _linked(temp, target):
            return
        os.replace(temp, target)
    finally:
        temp.unlink(missing_ok=True)


def save_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file at once: it is there whole, or as it was. Makes its folder.

    Raises MachineError when the machine cannot.
    """
    target = Path(path).absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data)
    except OSError as error:
        raise MachineError(f"cannot write {target}: {error.strerror}") from error


def _linked(temp: Path, target: Path) -> bool:
    """Hard-link, which never overwrites; False where the file system cannot."""
    try:
        os.link(temp, target)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network disks have no links; os.replace tells other reasons
        return False
    return True


# The folder.


@contextmanager
def on_disk(target: Path) -> Iterator[None]:
    """Turn the machine's refusal to write `target` into a MachineError."""
    # narrow on purpose: an OSError of the caller's frames or callback stays what it is
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write {target}: {error.strerror or error}") from error
