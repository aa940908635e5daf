"""The same things in Python that the command line does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artdiff import frames as frame_files
from artdiff.errors import FrameError, PresetError
from artdiff.files import save_bytes
from artdiff.frames import FrameStore
from artdiff.guidance.chart import chart
from artdiff.guidance.profile import GuidanceProfile, check_profiled, profile_path
from artdiff.plan import Plan
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, assign, overlay, override
from artdiff.preset.file import draft_preset
from artdiff.registry import Registry, Selection, create_registry
from artdiff.renderer import LocalRenderer, chunks, load_engine, select

if TYPE_CHECKING:
    import numpy as np

    from artdiff.engine import Engine
    from artdiff.timeline import FrameJob

FILMS = (".mp4", ".gif", ".webm", ".webp")
PNG_SHARE = 0.3
"""A PNG file is at most about so large, as a share of its picture's bytes."""
STRIDE = 4
"""A preview shows every fourth frame."""

OnFrame = Callable[[str, int, int], None]
"""Called with ("render" or "encode", how many are done, of how many)."""


@dataclass(frozen=True)
class Rendered:
    """What a render left: the frame folder, the film or sheet if one was asked for, and notes.

    `profile` is the JSON file of the guidance profile; its chart lies beside it as PNG.
    """

    folder: Path
    output: Path | None
    frames: int
    made: int
    seconds: float
    notes: tuple[str, ...] = ()
    profile: Path | None = None


@dataclass(frozen=True)
class Work:
    """A render that is ready to begin."""

    plan: Plan
    frames: range
    fps: float


def prepare(
    preset: str | Path | Draft,
    registry: Registry,
    settings: Iterable[str] | Mapping[str, Any] = (),
    frames: str | None = None,
    preview: bool = False,
) -> Work:
    """Resolve a preset with overrides; every mistake of the user's is found here.

    :raises ArtdiffError: the preset, a setting, a name or the selection is wrong.
    """
    draft = preset if isinstance(preset, Draft) else draft_preset(registry, str(preset))
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            draft = assign(draft, key, value, "settings")
    else:
        draft = override(draft, settings)
    with registry.blaming():
        plan = resolve(draft, registry)
        if preview and not hasattr(plan.sampler.kind, "solved_by"):  # tuned for this many steps
            steps = plan.preset.sampler.steps
            draft = overlay(
                draft, {"sampler": {"steps": min(steps, max(4, steps // 2))}}, "--preview"
            )
            plan = resolve(draft, registry)
        chosen = select(frames, plan.count)
    fps = plan.preset.frames.fps
    if preview and len(chosen) > STRIDE:
        chosen = chosen[::STRIDE]
        fps = max(0.1, fps / STRIDE)
    return Work(plan, chosen, fps)


def is_film(plan: Plan) -> bool:
    """Whether the frames belong together; stills make a contact sheet rather than a film."""
    return plan.preset.frames.source != "still" and plan.count > 1


def render(
    preset: str | Path | Draft,
    output: str | Path | None = None,
    *,
    settings: Iterable[str] | Mapping[str, Any] = (),
    frames: str | None = None,
    preview: bool = False,
    fresh: bool = False,
    profile_guidance: bool = False,
    plugins: Iterable[str] = (),
    registry: Registry | None = None,
    on_progress: OnFrame | None = None,
) -> Rendered:
    """Render a preset; a second call with the same arguments goes on where the first stopped.

    :param preset: name or path of a preset.
    :param output: a film (.mp4 .gif .webm .webp), a picture (.png: the still, or a contact sheet
        of several), or a folder for the frames alone. None: ``renders/NAME.mp4`` or ``.png``.
    :param settings: overrides, ``["seed=3"]`` or ``{"sampler.steps": 30}``.
    :param frames: a selection, as ``--frames`` takes it.
    :param preview: every fourth frame with half the steps.
    :param fresh: forget frames of an earlier render.
    :param profile_guidance: write what each guidance term did to the frames made now, as
        ``NAME.guidance.json`` and ``NAME.guidance.png`` beside the film. No pixel changes.
    :param plugins: Python files with plugins.
    :raises ArtdiffError: with one line for the user; what is finished stays.
    """
    began = time.monotonic()
    registry = registry or create_registry(Selection.from_environment(plugins))
    work = prepare(preset, registry, settings, frames, preview)
    plan = work.plan
    if profile_guidance:
        check_profiled(plan)
    target, folder = _places(work, output, preview)
    manifest = plan.manifest() | ({"every": work.frames.step} if work.frames.step > 1 else {})
    store, target = _open(folder, target, manifest, plan, output is None, fresh)
    report = on_progress or (lambda stage, done, total: None)

    before = len(set(work.frames).intersection(store.present()))
    report("render", before, len(work.frames))
    made, profile = 0, GuidanceProfile() if profile_guidance else None
    try:
        for _ in LocalRenderer(registry, profile and profile.see).render(plan, store, work.frames):
            made += 1
            report("render", before + made, len(work.frames))
    finally:
        path = profile_path(target, store.path)
        if profile:
            profile.write(path, store.key)
    notes = _finish(store, work, target, report)
    if profile:
        pictures = {index: store.png(index) for index in work.frames}
        notes += write_chart(profile, pictures, path)
    seconds = time.monotonic() - began
    kept = path if profile and profile.frames else None
    return Rendered(store.path, target, len(work.frames), made, seconds, notes, kept)


def write_chart(
    profile: GuidanceProfile, pictures: Mapping[int, np.ndarray | Path], path: Path
) -> tuple[str, ...]:
    """Draw a profile beside its JSON file; what is to be said of it."""
    if not profile.frames:
        return ("no frame was made, so no guidance was profiled; --fresh makes them again",)
    if chart(profile, pictures, path.with_suffix(".png")):
        return ()
    return (f'no chart of {path.name}: matplotlib is missing; pip install "artdiff[train]"',)


def _places(work: Work, output: str | Path | None, preview: bool) -> tuple[Path | None, Path]:
    """The film or picture to write, if any, and the folder of the frames."""
    if output is None:
        suffix = ".mp4" if is_film(work.plan) else ".png"
        name = work.plan.name + ("-preview" if preview else "")
        output = Path("renders") / f"{name}{suffix}"
    if not str(output).strip():
        raise PresetError("-o is empty; name a film, a picture or a folder")
    path = Path(output)
    suffix = path.suffix.lower()
    if suffix in (*FILMS, ".png"):
        if path.is_dir():
            raise PresetError(f"-o {path}: is a folder; give the file a name in it")
        if suffix in FILMS:
            _check_fps(work.fps, path)
        return path, path.with_name(f"{path.stem}.frames")
    if suffix and not path.is_dir():
        raise PresetError(
            f"-o {path}: cannot write {path.suffix!r}; use {' '.join(FILMS)}, .png or a folder"
        )
    return None, path


def _check_fps(fps: float, path: Path) -> None:
    """Find before the first frame what the encoder would say after the last one."""
    from artdiff.film.video import FORMATS

    most = FORMATS[path.suffix.lower()].max_fps
    if fps > most:
        raise PresetError(
            f"-o {path}: {path.suffix} plays at most {most} frames a second, not {fps:g}; "
            "lower frames.fps or write .mp4"
        )


def _open(
    folder: Path,
    target: Path | None,
    manifest: Mapping[str, Any],
    plan: Plan,
    default: bool,
    fresh: bool,
) -> tuple[FrameStore, Path | None]:
    """Open the frame folder; a default one that holds other settings is left for the next name."""
    number = 1
    while True:
        here, film = folder, target
        if number > 1 and target is not None:
            film = target.with_name(f"{target.stem}-{number}{target.suffix}")
            here = film.with_name(f"{film.stem}.frames")
        try:
            return FrameStore.open(here, manifest, plan.count, fresh=fresh), film
        except FrameError:
            if not default or not (here / frame_files.MANIFEST).exists() or number == 999:
                raise
            number += 1


def _finish(
    store: FrameStore, work: Work, target: Path | None, report: OnFrame
) -> tuple[str, ...]:
    """Write the film, the still or the contact sheet."""
    if target is None:
        return ()
    paths = [store.png(index) for index in work.frames]
    if target.suffix.lower() == ".png":
        from artdiff.film.sheet import contact_sheet

        if len(paths) == 1:
            save_bytes(target, paths[0].read_bytes())
        else:
            frame_files.save_picture(target, contact_sheet(paths))
        return ()
    from artdiff.film.video import encode

    report("encode", 0, len(paths))
    film = encode(paths, work.fps, target, on_frame=lambda i: report("encode", i + 1, len(paths)))
    return film.notes


def image(
    prompt: str,
    n: int = 1,
    *,
    settings: Iterable[str] | Mapping[str, Any] = (),
    values: Mapping[str, Any] | None = None,
    origin: str = "image",
    plugins: Iterable[str] = (),
    registry: Registry | None = None,
    profile: GuidanceProfile | None = None,
) -> Iterator[tuple[FrameJob, np.ndarray]]:
    """Pictures of a prompt from the seeds seed, seed + 1, ...: jobs and uint8 (H, W, 3) arrays.

    :param n: how many.
    :param settings: preset values, ``["seed=3"]`` or ``{"seed": 3, "model": "starter"}``.
    :param values: preset values that prompt and settings are laid over, by dotted keys. A `prompt`
        of "" leaves theirs.
    :param origin: where `values` come from, for errors.
    :param profile: gathers what guidance did while the pictures are made.
    :raises ArtdiffError: with one line for the user; a wrong setting at once.
    """
    registry = registry or create_registry(Selection.from_environment(plugins))
    draft = Draft("image", {}, {})
    for key, value in (values or {}).items():
        draft = assign(draft, key, value, origin)
    said = {"prompt": prompt} if prompt or "prompt" not in draft.values else {}
    draft = overlay(draft, {**said, "frames": {"source": "still", "count": n}}, "image")
    plan = prepare(draft, registry, settings).plan
    if plan.count != n:
        raise PresetError(f"frames.count: {plan.count}, but the call asks for {n}; leave it out")
    if profile:
        check_profiled(plan)
    return _pictures(load_engine(plan, registry, profile and profile.see), registry)


def _pictures(engine: Engine, registry: Registry) -> Iterator[tuple[FrameJob, np.ndarray]]:
    plan, batch = engine.plan, engine.plan.preset.batch
    with registry.blaming():
        for first in range(0, plan.count, batch):
            jobs = [plan.job(i) for i in range(first, min(first + batch, plan.count))]
            yield from zip(map(plan.noted, jobs), engine.images(jobs), strict=True)


def write_images(
    pictures: Iterable[tuple[FrameJob, np.ndarray]], target: Path, *, grid: bool, single: bool
) -> Iterator[Path]:
    """Write pictures as PNG files with their settings inside; yields the paths as they land.

    :param target: the file of a single picture or of the grid; others are numbered by seed, and
        those of a seed that was there already by their number as well.
    """
    if grid:
        from artdiff.film.sheet import contact_sheet

        frame_files.save_picture(target, contact_sheet([image for _, image in pictures]))
        yield target
        return
    made: set[int] = set()
    for job, image in pictures:
        number = f"{job.seed}-{job.index}" if job.seed in made else f"{job.seed}"
        path = target if single else target.with_stem(f"{target.stem}-{number}")
        made.add(job.seed)
        save_bytes(path, frame_files.encode_png(image, job.record()))
        yield path


@dataclass(frozen=True)
class Estimate:
    """What a render will cost."""

    frames: int
    model_calls: int
    seconds: float | None
    disk_bytes: int


def estimate(work: Work, registry: Registry, measure: bool = True) -> Estimate:
    """Count model calls, and measure one step to estimate the time.

    A model call is one picture through the denoiser once; steps guided by cfg cost two. Frames
    come in whole batches, also where a part of one is thrown away (`renderer.chunks`).
    """
    from artdiff.guidance.verdicts import JudgedSampler
    from artdiff.sample import asked
    from artdiff.starting import levels_of

    plan, preset = work.plan, work.plan.preset
    guidance = preset.guidance
    frames, batches = len(work.frames), list(chunks(work.frames, preset.batch))
    disk = int(frames * preset.width * preset.height * 3 * PNG_SHARE)
    engine = load_engine(plan, registry) if measure else None
    schedule = engine.model.schedule if engine else None
    if schedule is None:
        from artdiff.noise import Flow

        schedule = Flow()
    sampler: Any = JudgedSampler(plan.sampler, plan.sampler.build())
    init = plan.job(0).init
    start = init.strength if init else 1.0
    seen = asked(sampler, levels_of(plan, schedule, start)) if start else []
    on = not plan.card.distilled and any(value != 1 for value in guidance.scale.values)
    guider, more = plan.guider.build(), 0
    for at in seen:
        inside = bool(guidance.start >= at.fraction >= guidance.stop)
        if inside and guidance.course.along(1 - float(at.fraction)):
            more += len(guider.asks(on, at))
    drawn = sum(index < plan.count for batch in batches for index in batch)
    calls = drawn * (len(seen) + more)
    if engine is None:
        return Estimate(frames, calls, None, disk)
    with registry.blaming():
        jobs = [plan.job(i) for i in range(min(preset.batch, plan.count))]
        (picture,) = engine.pictures(jobs[:1], steps=1)
        engine.finish(picture, jobs[0])
        began = time.monotonic()
        finished = engine.finish(picture, jobs[0])
        each = time.monotonic() - began
        began = time.monotonic()
        engine.pictures(jobs, steps=1)
        one = time.monotonic() - began
        more = min(3, preset.sampler.steps) - 1
        began = time.monotonic()
        engine.pictures(jobs, steps=1 + more)
        step = max(0.0, (time.monotonic() - began - one) / max(1, more))
    batch = one + step * (preset.sampler.steps - 1)
    disk = int(frames * finished.size * PNG_SHARE)
    return Estimate(frames, calls, len(batches) * batch + frames * each, disk)
