"""A pace makes films of changing prompts change evenly, however steep the way between them is."""

import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from artdiff.api import prepare
from artdiff.cli import main
from artdiff.curve import Curve
from artdiff.errors import PresetError
from artdiff.evaluation.exam import film_steps
from artdiff.film.pace import Pace, measure_pace, refine, simplify
from artdiff.preset import Preset
from artdiff.preset.draft import Draft
from artdiff.renderer import load_engine
from artdiff.timeline import Score


def steep(places):
    """Pictures of one grey: almost all of the change lies within a thousandth of the way."""
    levels = [125 * np.tanh((place - 0.37) * 4000) + 4 * place for place in places]
    return [np.full((2, 2, 3), level, np.float32) for level in levels]


def test_where_it_is_steep_it_is_measured_closely():
    even = refine(steep, 33, 24, 33)
    assert len(even.positions) == 33 and max(even.steps) > 0.9
    pace = refine(steep, 33, 24, 200)
    assert pace.positions[0] == 0 and pace.positions[-1] == 1
    assert list(pace.positions) == sorted(set(pace.positions)) and len(pace.positions) < 100
    assert max(pace.steps) <= sum(pace.steps) / 23
    assert sum(0.36 < place < 0.38 for place in pace.positions) > 20


@pytest.mark.parametrize("count", [3, 24, 500])
def test_at_the_pace_every_frame_changes_by_as_much(count):
    pace = refine(steep, 33, count, 600)
    curve = Curve.parse(pace.curve(count))
    ways = [curve.at(frame, count, 24) / 100 for frame in range(count)]
    assert ways[0] == 0 and ways[-1] == 1 and ways == sorted(ways)
    steps = np.diff(np.interp(ways, pace.positions, pace.passed))
    assert steps.max() < 2 / (count - 1)


def test_a_jump_ends_the_search():
    drawn = []

    def jump(places):
        drawn.extend(places)
        return [np.full((1, 1, 3), 255 * (place > 0.5), np.uint8) for place in places]

    pace = refine(jump, 5, 10, 1000)
    assert len(drawn) == len(set(drawn)) == len(pace.positions) < 40
    assert sum(step > 0 for step in pace.steps) == 1


def test_a_line_keeps_only_its_corners():
    x = np.array([0.0, 0.1, 0.2, 0.3, 0.6, 0.9, 1.0])
    y = np.array([0.0, 0.01, 0.02, 0.5, 0.6, 0.9, 1.0])
    kept = simplify(x, y, 0.02)
    assert kept[0] == 0 and kept[-1] == 6 and 2 in kept and 1 not in kept
    assert np.abs(np.interp(y, y[kept], x[kept]) - x).max() <= 0.02
    assert simplify(x, y, 1.0) == [0, 6]
    assert simplify(x, y, 0.0) == [0, 2, 3, 4, 6]


def test_a_rest_on_the_way_is_passed_in_no_time():
    ways = np.linspace(0, 1, 11)
    pace = Pace(tuple(ways), (1, 1, 1, 1, 0, 0, 1, 1, 1, 1))
    found = pace.curve(101)
    assert found == {"0%": 0, "49.999%": 40, "50%": 60, "100%": 100}
    still = Pace(tuple(ways), (0, 0, 1, 1, 1, 1, 1, 1, 0, 0))
    assert still.curve(101) == {"0%": 20, "99.999%": 80, "100%": 100}
    for frame in range(101):
        way = Curve.parse(found).at(frame, 101, 24) / 100
        assert np.interp(way, ways, pace.passed) == pytest.approx(frame / 100, abs=1e-3)


def test_pace_moves_the_prompts_and_nothing_else():
    values = {"prompts": {"0%": "a", "100%": "b"}, "easing": "linear", "frames": {"count": 11},
              "guidance": {"scale": {"0%": 0.0, "100%": 10.0}}}  # fmt: skip
    even = Score(Preset.model_validate(values))
    slow = Score(Preset.model_validate(values | {"pace": {"0%": 0, "50%": 20, "100%": 100}}))
    assert dict(slow.prompts(5)) == pytest.approx(dict(even.prompts(2)))
    assert slow.prompts(10) == even.prompts(10) and slow.prompts(0) == even.prompts(0)
    assert slow.job(5, (), slow.start(5)) == even.job(5, (), even.start(5))


def test_a_preset_without_a_pace_has_no_word_of_it_in_its_folder(registry):
    draft = Draft("film", {"model": "tiny", "prompt": "fox"}, {})
    plan = prepare(draft, registry).plan
    assert "pace" not in plan.manifest()["preset"]
    paced = prepare(draft, registry, {"pace": {"0%": 0, "100%": 50}}).plan
    assert paced.manifest()["preset"]["pace"] == {"0%": 0, "100%": 50, "easing": "linear"}


@pytest.fixture
def film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "film.toml"
    path.write_text(
        'model = "tiny"\nguidance.scale = 12.0\n[prompts]\n"0%" = "a red fox in the snow"\n'
        '"30%" = "a blue sea at night"\n"100%" = "a cat in autumn"\n'
        '[frames]\nsource = "prompt_animation"\ncount = 24\n',
        encoding="utf-8",
    )
    return path


def test_a_film_is_measured_as_it_is_drawn(film, registry):
    plan = prepare(str(film), registry).plan
    told = []
    pace = measure_pace(plan, registry, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == len(pace.positions) >= 24
    frames = load_engine(plan, registry).images([plan.job(i) for i in (0, 1)])
    assert pace.steps[0] > 0
    assert film_steps(frames).steps[0] == pytest.approx(
        sum(pace.steps[: pace.positions.index(1 / 23)]), abs=2e-3
    )


def test_the_command_prints_what_the_preset_wants(film, tiny_plugin, capsys):
    chart = film.with_suffix(".png")
    arguments = ["--plugin", str(tiny_plugin)]
    with pytest.raises(SystemExit) as done:
        main(["pace", str(film), "--chart", str(chart), *arguments])
    said = capsys.readouterr().out
    assert done.value.code == 0 and Image.open(chart).size[0] > 500
    with film.open("a", encoding="utf-8") as file:
        file.write(said)
    table = tomllib.loads(film.read_text("utf-8"))["pace"]
    assert next(iter(table)) == "0%" and list(table.values())[-1] == 100
    with pytest.raises(SystemExit) as done:
        main(["plan", str(film), "--no-measure", *arguments])
    assert done.value.code == 0


def test_a_chart_that_cannot_be_drawn_costs_no_table(film, tiny_plugin, capsys, monkeypatch):
    arguments = ["pace", str(film), "-s", "frames.count=4", "--plugin", str(tiny_plugin)]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--chart", "nowhere/pace.png"])
    out, err = capsys.readouterr()
    assert done.value.code and "[pace]" in out and "nowhere" in err.splitlines()[-1]
    assert "Traceback" not in err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--chart", "pace.png"])
    out, err = capsys.readouterr()
    assert not done.value.code and "[pace]" in out and "matplotlib is missing" in err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "fox", "frames.count": 24}, "film: a pace wants three frames and two keyfra"),
        ({"prompts": {"0%": "fox", "100%": "cat"}, "frames.count": 2}, "film: a pace wants three"),
        ({"prompts": {"0%": "fox", "100%": "fox"}, "frames.count": 4}, "film: the pictures do no"),
        ({"pace": {"0%": -1}}, "settings: pace: must lie between 0 and 100"),
        ({"pace": {"0%": 0, "100%": 101}}, "settings: pace: must lie between 0 and 100"),
        ({"pace": {"half": 3}}, "settings: pace: 'half' is not a frame"),
        ({"pace": "even"}, "settings: pace: must be a number or a table of keyframes"),
    ],
)
def test_mistakes_are_named(values, message, registry):
    draft = Draft("film", {"model": "tiny"}, {})
    with pytest.raises(PresetError) as error:
        measure_pace(prepare(draft, registry, values).plan, registry)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_pace_of_no_change_at_all_is_the_way_itself():
    assert Pace((0.0, 0.5, 1.0), (1.0, 1.0)).curve(3) == {"0%": 0, "100%": 100}
