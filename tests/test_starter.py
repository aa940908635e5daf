"""The weights that ship: they load, draw what prompts say in the large, and do so repeatably."""

from __future__ import annotations

import numpy as np
import pytest

from artdiff.api import prepare
from artdiff.nn.text import Tokenizer
from artdiff.registry import Registry, Selection, create_registry
from artdiff.renderer import load_engine
from artdiff_plugins.scenes import words

STEPS = 8


@pytest.fixture(scope="module")
def full() -> Registry:
    return create_registry(Selection())


def draw(
    registry: Registry, prompt: str, n: int = 4, batch: int = 4, **terms: dict
) -> np.ndarray:
    settings = {"prompt": prompt, "frames.count": n, "sampler.steps": STEPS, "batch": batch}
    settings |= {"terms": terms}
    plan = prepare("portrait", registry, settings).plan
    engine = load_engine(plan, registry)
    jobs = [plan.job(index) for index in range(n)]
    return np.stack(
        [p for at in range(0, n, batch) for p in engine.images(jobs[at : at + batch])]
    )


def test_card_names_what_the_data_shows(full: Registry):
    card = full.get("models", "starter")
    objects = {words.object_words(entry).singular[0] for entry in words.OBJECTS.values()}
    assert set(card.facts["objects"]) <= objects
    assert set(card.facts["scenes"]) <= set(words.SCENES)
    assert set(card.facts["styles"]) <= set(words.STYLES)
    assert set(card.facts["patterns"]) <= set(words.PATTERNS)
    tokenizer = Tokenizer(card.folder.joinpath("vocabulary.txt").read_text("utf-8").split())
    assert tokenizer.unknown(" ".join(card.facts["objects"])) == []


def test_weights_are_small_enough_to_ship(full: Registry):
    card = full.get("models", "starter")
    total = sum(len(card.folder.joinpath(name).read_bytes()) for name in card.weights)
    assert total < 32e6
    assert len(card.digest()) == 16


def test_pictures_obey_the_prompt_in_the_large(full: Registry):
    day = draw(full, "rolling hills on a sunny day").mean((0, 1, 2))
    night = draw(full, "rolling hills at night").mean((0, 1, 2))
    assert day.mean() > night.mean() + 40, "day is brighter than night"
    red = draw(full, "a key on a red background").mean((0, 1, 2))
    blue = draw(full, "a key on a blue background").mean((0, 1, 2))
    assert red[0] - red[2] > blue[0] - blue[2] + 80, "red is redder than blue"


def test_its_classifier_leads_it(full: Registry):
    """What the model was not told: the night."""
    plain = draw(full, "rolling hills", 2, 2)
    led = draw(full, "rolling hills", 2, 2, classifier={"target": "time:night", "weight": 40})
    assert plain.mean() > led.mean() + 20


def test_batches_of_one_and_four_agree(full: Registry):
    alone, together = (
        draw(full, "mountain lake at sunset", n=4, batch=batch).astype(int) for batch in (1, 4)
    )
    assert np.abs(alone - together).max() <= 2
    assert len({picture.tobytes() for picture in together}) == 4, "seeds give other pictures"


def test_same_seed_same_bytes(full: Registry):
    first, second = (draw(full, "purple and gold mandala", n=2, batch=2) for _ in range(2))
    assert first.tobytes() == second.tobytes()
