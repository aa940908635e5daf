"""Rendering: the frames of a plan, one chunk after the other, into a frame folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from artdiff.errors import ModelError, PresetError, PromptWarning
from artdiff.frames import FrameStore
from artdiff.plan import Plan, RenderReport
from artdiff.registry import Registry

if TYPE_CHECKING:
    from artdiff.engine import Engine, WatchJobs
    from artdiff.model import Model, ModelCard


class Renderer(Protocol):
    """Makes the frames that a store lacks; yields frame numbers as they land."""

    def render(self, plan: Plan, store: FrameStore, frames: range) -> Iterator[int]: ...


def select(text: str | None, count: int) -> range:
    """The frames that ``--frames`` means: ``24`` the first 24, ``10:20``, ``::4`` every fourth.

    :raises PresetError: it is not a selection, or selects no frame.
    """
    if count < 1:
        raise PresetError("the film has no frames")
    if text is None:
        return range(count)
    parts = text.split(":")
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
        if len(numbers) == 1:
            chosen = range(count)[: numbers[0]]
        elif len(numbers) <= 3 and (len(numbers) < 3 or (numbers[2] or 1) > 0):
            chosen = range(count)[slice(*numbers)]
        else:
            raise ValueError
    except ValueError:
        raise PresetError(
            f"--frames {text}: write 24 (the first 24), 10:20 (from 10 up to 20) or ::4 (each 4th)"
        ) from None
    if len(chosen) == 0:
        raise PresetError(f"--frames {text}: selects none of the {count} frames")
    return chosen


def chunks(frames: range, batch: int) -> Iterator[range]:
    """Cut a selection into batches that lie where those of the whole film lie.

    A frame is always made in the same company, so that an interrupted render, or one of a part
    of the film, gives the same bytes as a whole one. (A batch of another make-up may round
    differently.) Every returned batch is whole, even where a selection ends inside of it.
    """
    step = frames.step
    first = frames.start // step // batch
    last = frames[-1] // step // batch
    offset = frames.start % step
    for number in range(first, last + 1):
        low = number * batch * step + offset
        yield range(low, low + batch * step, step)


def load_engine(plan: Plan, registry: Registry, watch: WatchJobs | None = None) -> Engine:
    """Load the plan's model and put it to work.

    It may be called under ``torch.inference_mode()``: terms still get their gradients.

    :param watch: is shown what guidance does.
    :raises ModelError: no backend can load it, or its weights are missing or damaged.
    """
    import torch

    from artdiff.engine import Engine

    model = load_model(plan.card, registry)
    weak = load_model(plan.weak, registry) if plan.weak else None
    observe: Callable[[Any, Any], None] | None = None
    if registry.hook.on_step.get_hookimpls():
        observe = partial(_observe, registry)
    _warn_of_unknown_words(plan, model)
    with registry.blaming(), torch.inference_mode(False):
        return Engine(model, plan, observe, watch, weak=weak)


def load_model(card: ModelCard, registry: Registry) -> Model:
    """Load the model of a card with whichever backend can.

    The plugin that offers the card is asked first, then what artdiff brings, then the others: none
    takes the place of another because it is installed.

    :raises ModelError: no backend can load it, or its weights are missing or damaged.
    """
    import torch

    try:
        with registry.blaming(), torch.inference_mode(False):
            found = (
                load(card=card, device=torch.device("cpu"), dtype=torch.float32)
                for load in registry.loaders(card)
            )
            model = next((model for model in found if model is not None), None)
    except OSError as error:
        raise ModelError(f"model {card.name!r} cannot be read: {error}") from error
    if model is None:
        raise ModelError(f"no plugin can load model {card.name!r} (backend {card.backend!r})")
    return model


def _observe(registry: Registry, job: Any, step: Any) -> None:
    registry.hook.on_step(job=job, step=step)


def _warn_of_unknown_words(plan: Plan, model: Model) -> None:
    """Say once which words of the prompts the model has never seen."""
    preset = plan.preset
    texts = [prompt.text for mix in preset.keyed_prompts.values() for prompt in mix]
    texts.append(preset.negative)
    unknown = [word for text in texts for word in model.conditioner.unknown(text)]
    if unknown:
        words = ", ".join(dict.fromkeys(unknown))
        warnings.warn(
            f"model {plan.card.name!r} does not know: {words}", PromptWarning, stacklevel=3
        )


class LocalRenderer:
    """Renders in this process; `watch` is shown what guidance does."""

    def __init__(self, registry: Registry, watch: WatchJobs | None = None) -> None:
        self.registry, self.watch = registry, watch

    def render(self, plan: Plan, store: FrameStore, frames: range) -> Iterator[int]:
        """Make the missing frames of a selection; every finished one is on disk when yielded.

        :raises ArtdiffError: what is finished stays in the store.
        """
        hook = self.registry.hook
        missing = set(frames).intersection(store.missing())
        began, made, failure = time.monotonic(), 0, None
        try:
            with self.registry.blaming():
                hook.on_render_start(plan=plan)
                engine = load_engine(plan, self.registry, self.watch) if missing else None
                for chunk in chunks(frames, plan.preset.batch):
                    if engine is None or missing.isdisjoint(chunk):
                        continue
                    jobs = [plan.job(i) for i in chunk if i < plan.count]
                    for job, picture in zip(jobs, engine.pictures(jobs), strict=True):
                        if job.index in missing:
                            image = engine.finish(picture, job)
                            shown = image.copy()
                            shown.setflags(write=False)
                            hook.on_frame(job=job, image=shown)
                            store.write(job.index, image, plan.noted(job).record())
                            made += 1
                            yield job.index
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"
            raise
        finally:
            seconds = time.monotonic() - began
            report = RenderReport(plan, str(store.path), made, seconds, failure)
            try:
                with self.registry.blaming():
                    hook.on_render_end(report=report)
            except Exception:
                if failure is None:  # the first error is the one to tell
                    raise
