"""What is measured and beside what: pictures that are there, or those that a model is to make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from artdiff.api import OnFrame, prepare
from artdiff.errors import PluginError, PresetError, nearest
from artdiff.evaluation.pictures import (
    DatasetPictures,
    FolderPictures,
    Pictures,
    cycled,
    open_pictures,
    texts_of,
)
from artdiff.frames import FrameStore, key_of
from artdiff.model import HELD_OUT, ModelCard, TrainedOn
from artdiff.plan import Plan
from artdiff.preset.check import validate
from artdiff.preset.draft import Draft, overlay
from artdiff.registry import Registry
from artdiff.renderer import LocalRenderer
from artdiff.timeline import FrameJob, FrameSource
from artdiff.train.data import dataset_key

__all__ = ["Captioned", "Subject", "find_model", "find_real", "find_subject"]

MADE = 64


@dataclass(frozen=True)
class Captioned:
    """The jobs of another frame source, each with a prompt of its own."""

    source: FrameSource
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> FrameJob:
        return replace(self.source[index], prompts=((self.texts[index], 1.0),))


@dataclass(frozen=True)
class Subject:
    """What is measured: a model's plan, or pictures that are there. `texts` are its prompts."""

    name: str
    plan: Plan | None
    there: Pictures | None
    texts: tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        """How many pictures it has, or will have."""
        counted = self.plan.count if self.plan is not None else len(self.there or ())
        return counted

    def asked(self, given: Sequence[str] | None, real: Pictures | None) -> Subject:
        """The same with its prompts: those given, its own, or the captions of the real ones.

        Nobody may know any; a model then draws without, and pictures have none.
        """
        found: Sequence[str] | None = given
        if found is None and self.there is not None:
            found = texts_of(self.there)
        elif found is None and self.plan is not None:
            preset = self.plan.preset
            if preset.prompt or preset.prompts:
                mixes = [self.plan.job(index).prompts for index in range(self.count)]
                found = [mix[0][0] for mix in mixes] if all(len(m) == 1 for m in mixes) else None
            elif real is not None:
                found = texts_of(real)
        return replace(self, texts=tuple(cycled(found, self.count)) if found else None)

    def label(self) -> str:
        """A name for a folder: what it is, and eight hex digits of everything that decides it."""
        if self.there is not None:
            return f"{self.name}-{self.there.key()[-8:]}"
        return f"{self.name}-{key_of(self._manifest())[:8]}"

    def _manifest(self) -> dict[str, Any]:
        """The settings that decide every pixel; prompts by their hash."""
        assert self.plan is not None
        return self.plan.manifest() | {"captions": text_digest(self.texts)}

    def pictures(
        self, registry: Registry, folder: Path, fresh: bool, on_progress: OnFrame
    ) -> Pictures:
        """The pictures; a model's are made into `folder`, but those that are there from before.

        :raises ArtdiffError: what is finished stays, and the same call goes on.
        """
        if self.there is not None:
            return self.there
        assert self.plan is not None
        store = FrameStore.open(folder, self._manifest(), self.count, fresh=fresh)
        plan = self.plan
        if self.texts is not None:
            plan = replace(plan, source=Captioned(plan.source, self.texts))
        done = len(store.present())
        on_progress("pictures", done, plan.count)
        for _ in LocalRenderer(registry).render(plan, store, range(plan.count)):
            done += 1
            on_progress("pictures", done, plan.count)
        return FolderPictures(store.path, tuple(store.paths()))


def find_subject(
    registry: Registry,
    subject: str,
    n: int | None,
    seed: int,
    settings: Iterable[str] | Mapping[str, Any],
) -> Subject:
    """A model by name or by its folder, with the plan of n pictures; or pictures that are there.

    :raises ArtdiffError: it is none of these, or a setting is wrong.
    """
    model = find_model(registry, subject)
    if model is None:
        pictures = open_pictures(Path(subject), n)
        if settings:
            raise PresetError(f"{subject}: settings of a model, but these are pictures")
        return Subject(Path(subject).resolve().stem, None, pictures)
    count = n or MADE
    values = {"model": model, "seed": seed, "frames": {"source": "still", "count": count}}
    plan = prepare(overlay(Draft("evaluate", {}, {}), values, "evaluate"), registry, settings).plan
    if plan.count != count:
        raise PresetError(f"-s frames: evaluate makes {count} pictures, not {plan.count}; use -n")
    return Subject(model, plan, None)


def find_model(registry: Registry, subject: str) -> str | None:
    """The name of the model that a text means, or None where it means a place of pictures.

    A folder with a ``card.toml`` is a model; the registry then offers it.
    """
    known = registry.entries("models")
    if subject in known:
        return subject
    path = Path(subject)
    if not path.exists():
        raise PresetError(f"{subject}: neither a model nor a folder{nearest(subject, known)}")
    if not (path / "card.toml").is_file():
        return None
    card = ModelCard.read(path)
    name = card.name if card.name not in known else f"{card.name}-{card.digest()[:8]}"
    if name not in known:
        registry.offer("models", name, replace(card, name=name))
    return name


def find_real(
    registry: Registry,
    plan: Plan | None,
    n: int,
    against: str | Path | None,
    options: Mapping[str, Any],
    count: int | None,
) -> Pictures | None:
    """The real pictures: of a dataset's held-out part, of a folder or of an .npz file.

    A dataset's larger pictures are cut and shrunk to a model's smaller square ones. Of the dataset
    that a model was trained on, the model's card says the options and how many are held out.

    :param n: how many pictures are measured; as many are taken of a dataset.
    :param options: of the dataset; they come before those of the model's card.
    :param count: how many of them; None takes n of a dataset, all of a folder.
    :raises ArtdiffError: there are none or not so many, or an option is wrong.
    """
    trained = None
    if plan is not None:
        trained = TrainedOn.read(plan.card.facts, f"the card of model {plan.card.name!r}")
    if against is None and trained is not None:
        against = trained.dataset
    if against is None:
        if options:
            raise PresetError(f"-d {next(iter(options))}: an option of a dataset; give --against")
        return None
    known = registry.entries("datasets")
    if str(against) not in known:
        if not Path(against).exists():
            near = nearest(str(against), known)
            raise PluginError(f"--against {against}: neither a dataset nor a folder{near}")
        pictures = open_pictures(Path(against), count)
        if options:
            raise PresetError(f"--against {against}: options of a dataset, but these are pictures")
        if count is not None and len(pictures) < count:
            raise PresetError(f"--real {count}: {against} holds {len(pictures)} pictures")
        return pictures
    kind, held_out = known[str(against)].value, HELD_OUT
    if trained is not None and trained.dataset == against:
        options, held_out = {**trained.options, **options}, trained.held_out
    chosen = validate(Draft("--against", {}, {}), kind.Options, options, str(against))
    with registry.blaming():
        dataset = kind(chosen)
    if hasattr(dataset, "__len__"):
        held_out = min(held_out, len(dataset))
    if count is not None and count > held_out:
        raise PresetError(f"--real {count}: {held_out} pictures of {against} are held out")
    side = None
    if plan is not None and plan.preset.width == plan.preset.height:
        side = plan.preset.width
    return DatasetPictures(dataset, min(count or n, held_out), dataset_key(dataset), side)


def text_digest(texts: Sequence[str] | None) -> str | None:
    """Sixteen hex digits over some texts."""
    if texts is None:
        return None
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
