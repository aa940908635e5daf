"""The scenes dataset: every thing it knows can be drawn and named; nothing is left to chance."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import artdiff
from artdiff.nn.text import Tokenizer
from artdiff_plugins.scenes import objects, records, things, words
from artdiff_plugins.scenes.dataset import Scenes

SCENES = Scenes(Scenes.Options(seed=3, size=64))
BLANK = {
    "kind": "scene", "style": "flat", "grade": "natural", "object": None, "pose": None,
    "flip": False, "turn": 0, "color": None, "natural": None, "count": 0, "second": None,
    "second_pose": None, "size": "medium", "place": "center", "view": "normal", "scene": "hills",
    "time": "day", "weather": "clear", "season": "summer", "pattern": None, "ground": None,
    "colors": [], "mood": None,
}  # fmt: skip


def draw(seed: int = 0, **record: object) -> np.ndarray:
    if record.get("object"):
        record = {"pose": things.poses(str(record["object"]))[0], "count": 1} | record
    return SCENES.render(BLANK | record, np.random.default_rng(seed))


def test_a_picture_is_a_function_of_options_and_index():
    again = Scenes(Scenes.Options(seed=3, size=64))
    other = Scenes(Scenes.Options(seed=4, size=64))
    for index in (0, 7, 123456):
        assert (SCENES.picture(index) == again.picture(index)).all()
        assert SCENES.attributes(index) == again.attributes(index)
        assert SCENES.caption(index, 5) == again.caption(index, 5)
    assert any((SCENES.picture(i) != other.picture(i)).any() for i in range(3))


def test_sizes_show_the_same_picture():
    full = Scenes(Scenes.Options(seed=3)).picture(2)
    assert full.shape == (256, 256, 3)
    small = full.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(SCENES.picture(2) - small).max() <= 1
    with pytest.raises(ValidationError):
        Scenes.Options(size=512)


def _draw_in_worker(index: int) -> bytes:
    return Scenes(Scenes.Options(seed=3, size=64)).picture(index).tobytes()


def test_another_process_draws_the_same_picture():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_draw_in_worker, [11]) == [SCENES.picture(11).tobytes()]


@pytest.mark.parametrize("scene", words.SCENES)
def test_each_scene_looks_different_at_each_time_of_day(scene: str):
    pictures = {time: draw(scene=scene, time=time) for time in words.LIGHTS}
    for picture in pictures.values():
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 8
    if scene not in words.SKYLESS:
        assert pictures["day"].mean() > pictures["night"].mean() + 20


@pytest.mark.parametrize("style", words.STYLES)
def test_each_style_changes_the_picture(style: str):
    flat, styled = draw(object="fox"), draw(object="fox", style=style)
    assert (style == "flat") == bool((flat == styled).all())
    assert styled.std() > 8


@pytest.mark.parametrize("style", ["pixel art", "mosaic"])
def test_cells_lie_on_the_grid_of_eight_pixels(style: str):
    full = Scenes(Scenes.Options())
    picture = full.render(BLANK | {"style": style}, np.random.default_rng(0)).astype(int)
    inside = picture.reshape(32, 8, 32, 8, 3)[:, 1:, :, 1:]
    assert np.ptp(inside, axis=(1, 3)).max() <= 1


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
def test_grounds_take_their_colour(ground: str):
    one = draw(kind="portrait", object="key", ground=ground, colors=["green"])
    two = draw(kind="portrait", object="key", ground=ground, colors=["pink"])
    assert (one.astype(int) - two)[..., 0].mean() < -8


@pytest.mark.parametrize("group", things.GROUPS)
def test_every_pose_of_every_object_fills_its_picture(group: str):
    for name in things.GROUPS[group]:
        for pose in things.poses(name):
            record = {"kind": "portrait", "object": name, "pose": pose, "ground": "plain"}
            picture = draw(**record, colors=["turquoise"]).astype(int)
            seen = np.abs(picture - picture[2, 2]).sum(-1) > 40
            assert 0.05 < seen.mean() < 0.75, pose
            assert not seen[:2].any() and not seen[-2:].any(), f"{pose} is cut off"


@pytest.mark.parametrize("name", ["fox", "rose", "automobile", "lighthouse", "teapot", "ghost"])
def test_objects_take_the_colour_asked_for(name: str):
    record = {"kind": "portrait", "object": name, "ground": "plain", "colors": ["white"]}
    blue, red = (draw(**record, color=c).astype(int) for c in ("blue", "red"))
    changed = np.abs(blue - red).sum(-1) > 60
    assert changed.mean() > 0.03
    assert (blue - red)[changed][:, 2].mean() > 30 > (blue - red)[changed][:, 0].mean()


def test_objects_are_lit_by_the_scene():
    day, night = (draw(object="ewe", time=time, size="large") for time in ("day", "night"))
    middle = slice(30, 54), slice(24, 40)
    assert night[middle].mean() < 0.75 * day[middle].mean()


def test_people_come_in_many_skins():
    record = {"kind": "portrait", "object": "man", "ground": "plain", "colors": ["white"]}
    assert len({draw(seed, **record)[30, 32].tobytes() for seed in range(12)}) >= 3


def test_records_are_plain_data_and_captions_use_known_words_only():
    tokenizer = Tokenizer(SCENES.vocabulary(), 32)
    lengths = []
    for index in range(3000):
        json.dumps(SCENES.attributes(index))
        caption = SCENES.caption(index, index)
        assert tokenizer.unknown(caption) == [], caption
        lengths.append(len(tokenizer.split(caption)))
    assert min(lengths) >= 1
    assert max(lengths) <= 24, "longer captions would be cut by the starter model's text encoder"
    assert sum(length <= 4 for length in lengths) > 150, "short prompts are trained as well"


def test_vocabulary_keeps_the_words_of_the_trained_starter():
    vocabulary = SCENES.vocabulary()
    starter = Path(artdiff.__file__).parent / "starter" / "vocabulary.txt"
    assert not set(starter.read_text("utf-8").split()) - set(vocabulary)
    assert len(vocabulary) == len(set(vocabulary)) <= 1200


def test_captions_of_one_picture_vary_but_name_its_object():
    index = next(i for i in range(100) if SCENES.attributes(i)["object"])
    entry = words.object_words(words.OBJECTS[SCENES.attributes(index)["object"]])
    captions = {SCENES.caption(index, draw) for draw in range(30)}
    assert len(captions) > 10
    assert all(any(n in c for n in (*entry.singular, *entry.plural)) for c in captions)


def test_training_never_shows_a_held_out_pair_and_the_held_out_split_always_does():
    train = [Scenes(Scenes.Options()).attributes(i) for i in range(1500)]
    held = [Scenes(Scenes.Options(split="heldout")).attributes(i) for i in range(300)]
    assert not any(records.held_out_pairs(r) for r in train)
    assert all(records.held_out_pairs(r) for r in held)
    free = [Scenes(Scenes.Options(split="all")).attributes(i) for i in range(1500)]
    assert 0.02 < np.mean([bool(records.held_out_pairs(r)) for r in free]) < 0.12


def test_every_single_value_is_still_trained():
    pairs = {(a, b) for a in words.STYLES for b in words.SCENES}
    held = {pair for pair in pairs if records.is_held_out(*pair, 30)}
    assert 0.01 < len(held) / len(pairs) < 0.06
    assert max(Counter(a for a, _ in held).values()) < len(words.SCENES) / 4
    assert max(Counter(b for _, b in held).values()) < len(words.STYLES) / 3


def test_shares_of_the_mix():
    drawn = [SCENES.attributes(i) for i in range(3000)]
    kinds = Counter(r["kind"] for r in drawn)
    assert abs(kinds["portrait"] / 3000 - 0.35) < 0.04
    assert abs(kinds["pattern"] / 3000 - 0.15) < 0.04
    assert {r["scene"] for r in drawn if r["scene"]} == set(words.SCENES)
    assert {r["style"] for r in drawn} == set(words.STYLES)


def test_every_icon_belongs_to_an_object():
    drawn = {pose for name in words.OBJECTS for pose in things.poses(name)}
    assert drawn - set(objects.MAKERS) == set(objects.icons())
    assert set(objects.MAKERS) <= drawn
