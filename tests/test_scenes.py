"""The scenes dataset: every thing it knows can be drawn and named; nothing is left to chance."""

from __future__ import annotations

import json
import multiprocessing

import numpy as np
import pytest

from artdiff.nn.text import Tokenizer
from artdiff_plugins.scenes import words
from artdiff_plugins.scenes.dataset import Scenes

SCENES = Scenes(Scenes.Options(seed=3, size=64))
BLANK = {
    "kind": "scene", "style": "flat", "grade": "natural", "object": None, "color": None,
    "count": 0, "size": "medium", "place": "center", "scene": "hills", "time": "day",
    "weather": "clear", "season": "summer", "pattern": None, "ground": None, "colors": [],
}  # fmt: skip


def draw(seed: int = 0, **record: object) -> np.ndarray:
    return SCENES.render(BLANK | record, np.random.default_rng(seed))


def test_a_picture_is_a_function_of_options_and_index():
    again = Scenes(Scenes.Options(seed=3, size=64))
    other = Scenes(Scenes.Options(seed=4, size=64))
    for index in (0, 7, 123456):
        assert (SCENES.picture(index) == again.picture(index)).all()
        assert SCENES.attributes(index) == again.attributes(index)
        assert SCENES.caption(index, 5) == again.caption(index, 5)
    assert any((SCENES.picture(i) != other.picture(i)).any() for i in range(3))


def _draw_in_worker(index: int) -> bytes:
    return Scenes(Scenes.Options(seed=3, size=64)).picture(index).tobytes()


def test_another_process_draws_the_same_picture():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_draw_in_worker, [11]) == [SCENES.picture(11).tobytes()]


@pytest.mark.parametrize("scene", words.SCENES)
def test_each_scene_looks_different_at_each_time_of_day(scene: str):
    pictures = [draw(scene=scene, time=time) for time in words.LIGHTS]
    assert all(p.shape == (64, 64, 3) and p.dtype == np.uint8 for p in pictures)
    assert all(len(np.unique(p.reshape(-1, 3), axis=0)) > 8 for p in pictures)
    if scene not in words.SKYLESS:
        assert pictures[1].mean() > pictures[3].mean() + 20, "day is brighter than night"


@pytest.mark.parametrize("style", words.STYLES)
def test_each_style_changes_the_picture(style: str):
    flat, styled = draw(object="fox", count=1), draw(object="fox", count=1, style=style)
    assert (style == "flat") == bool((flat == styled).all())


@pytest.mark.parametrize("grade", words.GRADES)
def test_each_grade_changes_the_colours(grade: str):
    assert (grade == "natural") == bool((draw() == draw(grade=grade)).all())
    if grade == "mono":
        spread = np.ptp(draw(grade=grade).astype(int), axis=-1)
        assert spread.max() < 16


@pytest.mark.parametrize("weather", [w for w in words.WEATHERS if w != "clear"])
def test_each_weather_changes_the_sky(weather: str):
    assert (draw() != draw(weather=weather)).mean() > 0.01


@pytest.mark.parametrize("season", words.SEASONS)
def test_seasons_differ(season: str):
    others = [draw(season=s) for s in words.SEASONS if s != season]
    assert all((draw(season=season) != other).mean() > 0.05 for other in others)


@pytest.mark.parametrize("pattern", words.PATTERNS)
def test_each_pattern_uses_its_colours(pattern: str):
    one = draw(kind="pattern", pattern=pattern, colors=["red", "white"])
    two = draw(kind="pattern", pattern=pattern, colors=["blue", "white"])
    assert one[..., 0].mean() > one[..., 2].mean()
    assert two[..., 2].mean() > two[..., 0].mean()


@pytest.mark.parametrize("ground", words.GROUNDS)
def test_every_object_can_be_drawn_on_each_ground(ground: str):
    empty = draw(kind="portrait", object="key", count=1, ground=ground, colors=["green"])
    for name in list(words.OBJECTS)[:: 5 if ground != "plain" else 1]:
        picture = draw(kind="portrait", object=name, count=1, ground=ground, colors=["green"])
        assert name == "key" or (picture != empty).any(), name


def test_records_are_plain_data_and_captions_use_known_words_only():
    tokenizer = Tokenizer(SCENES.vocabulary(), 32)
    lengths = []
    for index in range(1500):
        json.dumps(SCENES.attributes(index))
        caption = SCENES.caption(index, index)
        assert tokenizer.unknown(caption) == [], caption
        lengths.append(len(tokenizer.split(caption)))
    assert max(lengths) <= 24, "longer captions would be cut by the starter model's text encoder"


def test_captions_of_one_picture_vary_but_name_its_object():
    index = next(i for i in range(100) if SCENES.attributes(i)["object"])
    entry = words.object_words(words.OBJECTS[SCENES.attributes(index)["object"]])
    captions = {SCENES.caption(index, draw) for draw in range(30)}
    assert len(captions) > 10
    assert all(any(n in c for n in (*entry.singular, *entry.plural)) for c in captions)
