"""artdiff.examine: a model answers prompts of the dataset that it was trained on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artdiff.api import OnFrame, prepare
from artdiff.errors import PresetError
from artdiff.evaluation.exam import Exam, Film, film_steps
from artdiff.evaluation.exam_marks import QUICK, Found, Near, Size, judged, nearest
from artdiff.evaluation.exam_page import Shown, examination_page
from artdiff.evaluation.exam_report import EXAM_PAGE, EXAM_RECORD, Examination
from artdiff.evaluation.features import PictureRow
from artdiff.evaluation.judge import Judge
from artdiff.evaluation.subject import Subject, find_model, find_subject, text_digest
from artdiff.files import save_bytes
from artdiff.frames import FrameStore, load_image
from artdiff.model import TrainedOn
from artdiff.registry import Registry, Selection, create_registry
from artdiff.renderer import LocalRenderer, load_engine

__all__ = ["Size", "examine", "find_exam"]

SHOWN = 48
AGAIN_SEED = 1_000_000
"""The pictures that show a prompt's diversity have the seeds from this one on."""


def find_exam(registry: Registry, subject: str) -> Exam | None:
    """The exam of the dataset that a model's card names; None where there is none.

    :raises ArtdiffError: there is no such model, or an option of its dataset is wrong.
    """
    name = find_model(registry, subject)
    if name is None:
        return None
    card = registry.get("models", name)
    trained = TrainedOn.read(card.facts, f"the card of model {name!r}")
    known = registry.entries("datasets")
    if trained is None or trained.dataset not in known:
        return None
    kind = known[trained.dataset].value
    if not hasattr(kind, "exam"):
        return None
    with registry.blaming():
        return kind(kind.Options(**trained.options)).exam()


def examine(
    subject: str | Path,
    *,
    quick: bool = False,
    size: Size | None = None,
    judge: str | Path | None = None,
    seed: int = 0,
    settings: Iterable[str] | Mapping[str, Any] = (),
    out: str | Path | None = None,
    fresh: bool = False,
    plugins: Iterable[str] = (),
    registry: Registry | None = None,
    on_progress: OnFrame | None = None,
) -> Examination:
    """Examine a model by the dataset it was trained on; writes exam.json and exam.html.

    Its pictures and films land in the folder; a second call with the same arguments makes none
    again. All but the seconds is a function of the arguments.

    :param subject: a model's name or its folder.
    :param quick: 150 questions in the place of 500, shorter films, fewer training pictures.
    :param size: another length of your own.
    :param judge: weights of a judge; None takes the dataset's own.
    :param seed: the first picture's seed.
    :param settings: preset values for the model, ``["sampler.steps=30"]`` or a mapping.
    :param out: the folder; None: ``evaluations/exam-NAME-KEY``.
    :param fresh: forget pictures of an earlier examination in that folder.
    :raises ArtdiffError: with one line for the user; pictures that are made stay.
    """
    registry = registry or create_registry(Selection.from_environment(plugins))
    report = on_progress or (lambda stage, done, total: None)
    exam = find_exam(registry, str(subject))
    if exam is None:
        raise PresetError(
            f"{subject}: no model of a dataset that examines; `artdiff evaluate {subject} -n 64` "
            "measures what it draws"
        )
    length = size or (QUICK if quick else Size())
    referee = _referee(Path(judge) if judge is not None else exam.judge)
    settings = settings if isinstance(settings, Mapping) else list(settings)
    with registry.blaming():
        questions = [exam.question(index) for index in range(length.questions)]
    texts = [each.prompt for each in questions]
    what = find_subject(registry, str(subject), len(texts), seed, settings).asked(texts, None)
    folder = Path(out) if out is not None else Path("evaluations") / f"exam-{what.label()}"
    made = what.pictures(registry, folder / "pictures", fresh, report)
    repeated = [text for text in texts[: length.again] for _ in range(length.each)]
    more = find_subject(registry, str(subject), len(repeated), seed + AGAIN_SEED, settings)
    again = more.asked(repeated, None).pictures(
        registry, folder / "again", fresh, lambda _, done, total: report("again", done, total)
    )
    films = {
        name: _film(registry, preset, what, settings, folder / "films" / name, length, fresh,
                    lambda _, done, total, name=name: report(name, done, total))
        for name, preset in exam.films.items()
    }  # fmt: skip
    with registry.blaming():
        found = judged(exam, referee, questions, made, again, length, report)
        near = nearest(exam, made, found.renders, length, report)
    numbers = found.numbers | near.numbers
    done = Examination(
        what.name,
        found.scores,
        {name: round(value, 6) for name, value in numbers.items()},
        {name: film_steps(frames) for name, frames in films.items()},
        _seconds(registry, what, report),
        _facts(what, referee, texts, seed, length),
        folder,
    )
    save_bytes(folder / EXAM_RECORD, done.json().encode())
    figures = _figures(found, near, made, again, films, texts, done.films, length)
    save_bytes(folder / EXAM_PAGE, examination_page(done, figures).encode())
    return done


def _referee(file: Path) -> Judge:
    if not file.is_file():
        raise PresetError(
            f"{file}: the judge is not there; `artdiff train starter-judge` makes it, --judge "
            "FILE names another, and -n 64 measures without one"
        )
    return Judge(Judge.Options(weights=file))


def _film(
    registry: Registry,
    preset: str,
    what: Subject,
    settings: Sequence[str] | Mapping[str, Any],
    folder: Path,
    length: Size,
    fresh: bool,
    report: OnFrame,
) -> list[np.ndarray]:
    """The frames of a preset's film by this model."""
    assert what.plan is not None
    ours = {"model": what.plan.preset.model, "frames.count": length.frames}
    if isinstance(settings, Mapping):
        plan = prepare(preset, registry, {**settings, **ours}).plan
    else:
        given = [*settings, *(f"{key}={value}" for key, value in ours.items())]
        plan = prepare(preset, registry, given).plan
    store = FrameStore.open(folder, plan.manifest(), plan.count, fresh=fresh)
    done = len(store.present())
    report("film", done, plan.count)
    for _ in LocalRenderer(registry).render(plan, store, range(plan.count)):
        done += 1
        report("film", done, plan.count)
    return [load_image(store.png(index)) for index in range(plan.count)]


def _seconds(registry: Registry, what: Subject, report: OnFrame) -> dict[str, float]:
    """Seconds of one picture: alone, the middle of three, and in a batch; nothing is kept."""
    assert what.plan is not None
    plan = what.plan
    engine = load_engine(plan, registry)
    batch = min(plan.preset.batch, plan.count)
    jobs = [plan.job(index) for index in range(batch)]
    engine.images(jobs[:1])
    alone = []
    for number in range(3):
        began = time.perf_counter()
        engine.images(jobs[:1])
        alone.append(time.perf_counter() - began)
        report("seconds", number + 1, 4)
    began = time.perf_counter()
    engine.images(jobs)
    together = (time.perf_counter() - began) / batch
    report("seconds", 4, 4)
    return {
        "alone": round(statistics.median(alone), 3),
        f"in a batch of {batch}": round(together, 3),
    }


def _facts(
    what: Subject, judge: Judge, texts: Sequence[str], seed: int, length: Size
) -> dict[str, Any]:
    assert what.plan is not None
    preset = what.plan.preset.model_dump(mode="json")
    return {
        "model": {"name": what.plan.card.name, "hash": what.plan.card.digest()},
        "judge": judge.digest(),
        "seed": seed,
        "questions": len(texts),
        "prompts": text_digest(texts),
        "alike": length.alike,
        **{key: preset[key] for key in ("width", "height", "sampler", "guidance", "batch")},
    }


def _figures(
    found: Found,
    near: Near,
    made: PictureRow,
    again: PictureRow,
    films: Mapping[str, Sequence[np.ndarray]],
    texts: Sequence[str],
    steps: Mapping[str, Film],
    length: Size,
) -> list[Shown]:
    count = min(SHOWN, len(texts))
    groups = min(6, length.again) * length.each
    return [
        Shown("The first pictures, unselected; every second is a held-out combination",
              [made[i] for i in range(count)], texts[:count]),
        Shown("The dataset's own pictures of the same prompts", found.renders[:count]),
        Shown("The same prompt several times", [again[i] for i in range(groups)],
              columns=2 * length.each),
        Shown("The pictures nearest to training pictures, each beside that", near.pairs,
              near.labels),
        *(Shown(f"{name}: largest step {steps[name].ratio:.2f} times the median", frames,
                strip=steps[name]) for name, frames in films.items()),
    ]  # fmt: skip
