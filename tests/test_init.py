"""Pictures that start from an image, variations of a seed, and files and frames that terms see."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel

import artdiff
from artdiff.api import prepare
from artdiff.errors import PluginError, PresetError
from artdiff.frames import load_mask
from artdiff.hookspecs import hookimpl
from artdiff.preset.draft import Draft, overlay
from artdiff.renderer import load_engine
from artdiff.starting import slerp

FILM = {"model": "tiny", "prompt": "a red fox", "frames": {"source": "still", "count": 3}}


class Paste:
    """A projection and its end: the left half of a file is put over the finished picture."""

    per_frame: ClassVar[bool] = True

    class Options(BaseModel, extra="forbid"):
        image: artdiff.File = ""
        more: dict[str, artdiff.File] = {}
        wrong: bool = False

    def __init__(self, options, setup):
        self.options, self.setup = options, setup
        if options.image:
            self.known = setup.encode(setup.picture(options.image))

    def __call__(self, x0, x, at, noise):
        assert len(x0) == 1 and self.setup.job is not None
        return x0

    def finish(self, picture, job):
        assert job.index == self.setup.job.index
        if self.options.wrong:
            return picture[..., 0]
        picture = picture.copy()
        image = (self.setup.picture(self.options.image) + 1) * 127.5
        picture[:, :16] = image[0, :, :, :16].permute(1, 2, 0).round().numpy()
        return picture


class Graph:
    """A loss whose constructor makes tensors, and that decodes."""

    made: ClassVar[list] = []

    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options, setup):
        self.setup, self.target = setup, torch.zeros(3, 1, 1)
        self.made.append(setup.job)

    def loss(self, x0, at, noise):
        once = self.setup.decode(x0)
        assert self.setup.decode(x0) is once
        return ((once - self.target) ** 2).mean((1, 2, 3))


class Plugin:
    @hookimpl
    def register_guidance(self):
        return {"paste": Paste, "graph": Graph}


@pytest.fixture
def photo(tmp_path):
    draw = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(draw).resize((60, 40), Image.Resampling.BILINEAR).save(path)
    return path


@pytest.fixture
def engine(registry):
    registry.manager.register(Plugin(), "seams")

    def engine(**settings):
        draft = overlay(Draft("film", {}, {}), FILM, "film.toml")
        return load_engine(prepare(draft, registry, settings).plan, registry)

    return engine


def images(made, *indices):
    return made.images([made.plan.job(i) for i in indices or range(made.plan.count)])


def away(a, b):
    return np.abs(np.int16(a) - np.int16(b)).mean()


# [init].


def test_strength_runs_from_the_image_to_pure_noise(engine, photo):
    made = {s: images(engine(**{"init.image": str(photo), "init.strength": s}), 0)[0]
            for s in (0.0, 0.2, 0.6, 1.0)}  # fmt: skip
    codec = engine().model.codec
    with torch.no_grad():
        again = codec.decode(codec.encode(engine().setup().picture(str(photo))))
    kept = (again.clamp(-1, 1) + 1).mul(127.5).round()[0].permute(1, 2, 0).numpy()
    assert np.array_equal(made[0.0], kept.astype(np.uint8))
    distances = [away(made[s], kept) for s in (0.2, 0.6, 1.0)]
    assert 0 < distances[0] < distances[1] < distances[2]
    assert away(made[1.0], images(engine(), 0)[0]) < away(made[0.6], images(engine(), 0)[0])


def test_strength_may_change_from_frame_to_frame(engine, photo):
    curve = {"init.image": str(photo), "init.strength": {"0": 0.1, "100%": 0.9}}
    film = images(engine(**curve))
    alone = images(engine(**curve), 2)[0]
    assert away(film[2], alone) < 1
    for index, strength in enumerate((0.1, 0.5, 0.9)):
        still = engine(**{"init.image": str(photo), "init.strength": strength})
        assert away(images(still, index)[0], film[index]) < 1


def test_images_may_be_keyframes(engine, photo, tmp_path):
    Image.new("RGB", (40, 40), "green").save(tmp_path / "green.png")
    keys = {"0": str(photo), "100%": str(tmp_path / "green.png")}
    made = engine(**{"init.image": keys, "init.strength": 0.0})
    names = [made.plan.job(i).init.image.partition("@")[0] for i in range(3)]
    assert names == ["photo.png", "photo.png", "green.png"]
    assert away(*images(made, 1, 2)) > 0


def test_inversion_finds_the_noise_behind_the_image(engine, photo):
    calm = {"init.image": str(photo), "guidance.scale": 1, "sampler.name": "ddim",
            "sampler.steps": 50, "init.strength": 0.7, "init.prompt": "a red fox"}  # fmt: skip
    kept = images(engine(**calm | {"init.strength": 0.0}), 0)[0]
    back = images(engine(**calm | {"init.how": "inversion"}), 0)[0]
    fresh = images(engine(**calm), 0)[0]
    assert away(back, kept) < away(fresh, kept) / 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"init.image": "no.png"}, "init.image: no such file"),
        ({"init.image": "."}, "init.image: is a folder"),
        ({"init.image": {"0": "no.png"}}, "init.image.0: no such file"),
        ({"init.image": {"x": "no.png"}}, "is not a frame"),
        ({"init.strength": 1.5}, "init.strength: must lie between 0 and 1"),
        ({"init.how": "magic"}, "'noise' or 'inversion'"),
        ({"init.picture": "no.png"}, "unknown key"),
        ({"subseed_strength": 2}, "must lie between 0 and 1"),
        ({"terms.paste.image": "no.png"}, "terms.paste.image: no such file"),
        ({"terms.paste.more": {"dog": "no.png"}}, "terms.paste.more.dog: no such file"),
        ({"terms.graph.course": {"3": 1.0, "100%": 0.0}}, "terms.graph.course: 3 is not a part"),
    ],
)
def test_bad_input_is_one_line(engine, settings, said):
    with pytest.raises(PresetError, match=r"^[^\n]+$") as error:
        engine(**settings)
    assert said in str(error.value)


def test_a_sampler_with_levels_of_its_own_cannot_begin_in_between(engine, photo):
    solver = {"fractions": [1.0, 0.5], "weights": [[0.5], [0.5, 0.5]]}
    with pytest.raises(PresetError, match=r"sampler\.name: 'tuned' walks its own levels"):
        engine(**{"init.image": str(photo), "sampler": {"name": "tuned", "steps": 2, **solver}})


def test_a_file_that_is_no_picture_is_named(engine, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    made = engine(**{"init.image": str(tmp_path / "text.png")})
    with pytest.raises(artdiff.FrameError, match=r"frame 0: .*text\.png is not a whole picture"):
        images(made, 0)


# Variations of a seed.


def test_a_subseed_pulls_the_noise_to_its_own(engine):
    plain, other = engine(seed=4), engine(seed=9)
    like = torch.empty(1, 4, 2, 2)
    ends = [e.start([e.plan.job(0)], like) for e in (plain, other)]
    made = engine(**{"seed": 4, "subseed": 9, "subseed_strength": 0.25})
    found = made.start([made.plan.job(0)], like)
    assert torch.equal(found, slerp(*ends, torch.tensor([0.25])))
    jobs = [made.plan.job(i) for i in range(3)]
    assert [job.start.towards for job in jobs] == [9, 10, 11]
    assert {job.seed for job in jobs} == {4}


# Files, frames and ends of terms.


def test_a_file_is_named_by_its_content_and_found_beside_the_preset(registry, photo, tmp_path):
    registry.manager.register(Plugin(), "seams")
    (tmp_path / "film.toml").write_text(
        'model = "tiny"\n[init]\nimage = "photo.png"\n[terms.paste]\nimage = "photo.png"\n'
    )
    plan = prepare(tmp_path / "film.toml", registry).plan
    reference = plan.job(0).terms[0].options["image"]
    assert reference.startswith("photo.png@") and plan.job(0).init.image == reference
    assert plan.files == {reference: str(photo.resolve())}
    assert str(tmp_path) not in str(plan.manifest())
    before = plan.manifest()
    Image.new("RGB", (40, 40), "green").save(photo)
    assert prepare(tmp_path / "film.toml", registry).plan.manifest() != before


def test_a_term_may_mend_the_finished_picture(engine, photo):
    made = engine(**{"terms.paste.image": str(photo)})
    wanted = (made.setup().picture(str(photo)) + 1).mul(127.5).round()[0].permute(1, 2, 0).numpy()
    for picture in images(made):
        assert np.array_equal(picture[:, :16], wanted[:, :16].astype(np.uint8))
        assert not np.array_equal(picture[:, 16:], wanted[:, 16:].astype(np.uint8))
    with pytest.raises(PluginError, match=r"guidance 'paste' .* not a uint8 picture"):
        images(engine(**{"terms.paste.image": str(photo), "terms.paste.wrong": True}), 0)


def test_a_term_serves_all_frames_and_is_made_once(engine):
    Graph.made.clear()
    made = engine(**{"terms.graph.weight": 5.0, "batch": 1})
    with_term = images(made, 0) + images(made, 1)
    assert Graph.made == [None]
    assert away(with_term[0], images(engine(), 0)[0]) > 0


def test_a_mask_is_the_alpha_unless_it_is_all_opaque(tmp_path):
    grey = Image.new("L", (4, 4), 100)
    grey.save(tmp_path / "grey.png")
    assert (load_mask(tmp_path / "grey.png") == 100).all()
    cut = Image.new("RGBA", (4, 4), (9, 9, 9, 255))
    cut.putpixel((0, 0), (9, 9, 9, 0))
    cut.save(tmp_path / "cut.png")
    mask = load_mask(tmp_path / "cut.png")
    assert mask[0, 0] == 0 and (mask.ravel()[1:] == 255).all()
    setup = artdiff.Setup(None, 8, 16)
    assert setup.alpha(str(tmp_path / "cut.png")).shape == (1, 1, 8, 16)
