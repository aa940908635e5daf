"""artdiff.evaluate: pictures of a model or a folder, measured beside real ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from artdiff.api import OnFrame
from artdiff.errors import PresetError
from artdiff.evaluation.features import FeatureExtractor, Features, extract
from artdiff.evaluation.measure import FEWEST, SHARE, choose_metrics, measure, possible
from artdiff.evaluation.page import evaluation_page
from artdiff.evaluation.pictures import Pictures, read_prompts
from artdiff.evaluation.report import PAGE, RECORD, Evaluation
from artdiff.evaluation.subject import Subject, find_real, find_subject, text_digest
from artdiff.files import save_bytes
from artdiff.plan import Plan
from artdiff.preset.check import validate
from artdiff.preset.draft import Draft
from artdiff.registry import Registry, Selection, create_registry

__all__ = ["evaluate"]

FAMOUS = ("fid", "sfid", "kid", "is")
"""Metrics whose numbers in papers are those of Inception's features."""


def evaluate(
    subject: str | Path,
    against: str | Path | None = None,
    *,
    metrics: Iterable[str] | None = None,
    features: str = "starter",
    feature_options: Mapping[str, Any] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
    n: int | None = None,
    real: int | None = None,
    seed: int = 0,
    settings: Iterable[str] | Mapping[str, Any] = (),
    prompts: str | Path | Sequence[str] | None = None,
    bootstrap: int = 200,
    out: str | Path | None = None,
    fresh: bool = False,
    plugins: Iterable[str] = (),
    registry: Registry | None = None,
    on_progress: OnFrame | None = None,
) -> Evaluation:
    """Measure a model, or pictures that are there; writes evaluation.json and evaluation.html.

    A model's pictures land in ``OUT/pictures``; a second call with the same arguments goes on
    where the first stopped. Everything is a function of the arguments.

    :param subject: a model's name, its folder, a folder of pictures or an .npz file of them.
    :param against: real pictures: a dataset's name, a folder or an .npz file. None: the dataset
        that the model's card names, or none at all.
    :param metrics: names of metrics; None takes all that these features and pictures allow.
    :param features: name of a feature extractor, with `feature_options` for it.
    :param n: how many pictures; None makes 64, or takes all that a folder has.
    :param real: how many real pictures; None takes n of a dataset, all of a folder.
    :param seed: the first picture's seed, and that of the bootstrap's draws.
    :param settings: preset values for the model, ``["sampler.steps=30"]`` or a mapping.
    :param prompts: texts, or a file with one on each line; they repeat when there are fewer than
        n. None takes the captions of the real pictures, where they have any.
    :param bootstrap: resamples for each interval; 0 for none.
    :param out: the folder; None: ``evaluations/NAME-KEY``.
    :param fresh: forget pictures of an earlier evaluation in that folder.
    :param on_progress: called with a stage's name, how many are done, of how many.
    :raises ArtdiffError: with one line for the user; pictures that are made stay.
    """
    for value, least, option in ((n, 1, "-n"), (real, 1, "--real"), (bootstrap, 0, "--bootstrap")):
        if value is not None and value < least:
            raise PresetError(f"{option} must be {least} or more (got {value})")
    registry = registry or create_registry(Selection.from_environment(plugins))
    report = on_progress or (lambda stage, done, total: None)
    names = None if metrics is None else list(dict.fromkeys(metrics))
    judges = choose_metrics(registry, names)
    extractor, options = _extractor(registry, features, feature_options or {})

    given = read_prompts(Path(prompts)) if isinstance(prompts, str | Path) else prompts
    what = find_subject(registry, str(subject), n, seed, settings)
    beside = find_real(registry, what.plan, what.count, against, dataset_options or {}, real)
    what = what.asked(given, beside)
    judges = possible(
        judges,
        extractor.gives,
        what.count,
        0 if beside is None else len(beside),
        what.texts is not None,
        strict=names is not None,
    )
    folder = Path(out) if out is not None else Path("evaluations") / what.label()
    pictures = what.pictures(registry, folder / "pictures", fresh, report)
    with registry.blaming():
        made, theirs = _features(extractor, pictures, beside, what.texts, report)
        measured = measure(
            judges,
            made,
            theirs,
            rounds=bootstrap,
            seed=seed,
            on_progress=lambda done, total: report("metrics", done, total),
        )
    notes = []
    if features != "inception" and any(name in FAMOUS for name in judges):
        notes.append(f"features are those of {features!r}; papers report Inception's")
    if bootstrap and all(each.low is None for each in measured):
        notes.append(f"no intervals: fewer than {FEWEST} pictures")
    facts = {
        "n": len(pictures),
        "seed": seed,
        **_made_by(what, pictures),
        "prompts": text_digest(what.texts),
        "against": None if beside is None else beside.key(),
        "real": None if beside is None else len(beside),
        "features": {
            "name": features,
            "hash": extractor.digest(),
            "options": options,
            "sizes": made.sizes(),
        },
        "bootstrap": {"rounds": bootstrap, "share": SHARE, "seed": seed},
        "versions": _versions(),
    }
    done = Evaluation(what.name, tuple(measured), facts, tuple(notes), folder)
    save_bytes(folder / RECORD, done.json().encode())
    save_bytes(folder / PAGE, evaluation_page(done, pictures, beside, what.texts).encode())
    return done


def _extractor(
    registry: Registry, name: str, values: Mapping[str, Any]
) -> tuple[FeatureExtractor, dict[str, Any]]:
    """A feature extractor with its weights, and its options without the paths in them."""
    kind = registry.get("feature_extractors", name)
    options = validate(Draft("--features", {}, {}), kind.Options, values, name)
    plain = options.model_dump()
    paths = {key for key, value in plain.items() if isinstance(value, Path)}
    with registry.blaming():
        return kind(options), options.model_dump(mode="json", exclude=paths)


def _features(
    extractor: FeatureExtractor,
    made: Pictures,
    real: Pictures | None,
    texts: Sequence[str] | None,
    report: OnFrame,
) -> tuple[Features, Features | None]:
    first, total = len(made), len(made) + (0 if real is None else len(real))
    report("features", 0, total)
    ours = extract(
        extractor, made, texts, on_progress=lambda done, _: report("features", done, total)
    )
    if real is None:
        return ours, None
    return ours, extract(
        extractor, real, on_progress=lambda done, _: report("features", first + done, total)
    )


def _made_by(what: Subject, pictures: Pictures) -> dict[str, Any]:
    """How a model made the pictures; of others, which they are."""
    plan: Plan | None = what.plan
    if plan is None:
        return {"pictures": pictures.key()}
    preset = plan.preset.model_dump(mode="json")
    kept = ("width", "height", "sampler", "guidance", "negative", "batch")
    return {
        "model": {"name": plan.card.name, "hash": plan.card.digest()},
        **{key: preset[key] for key in kept},
        "plugins": dict(sorted(plan.plugins.items())),
    }


def _versions() -> dict[str, str]:
    """Versions of what the numbers depend on, as far as it was used."""
    packages = {
        "torch": "torch",
        "numpy": "numpy",
        "torch_fidelity": "torch-fidelity",
        "open_clip": "open_clip_torch",
    }
    from artdiff import __version__

    used = {name: version(name) for module, name in packages.items() if module in sys.modules}
    return {"artdiff": __version__, "python": sys.version.split()[0], **used}
