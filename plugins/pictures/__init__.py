"""Pictures of your own as training data: folders and webdataset shards (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_datasets() -> dict[str, type]:
    from .folder import Folder
    from .shards import Shards

    return {"folder": Folder, "webdataset": Shards}
