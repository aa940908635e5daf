"""From jobs to pictures: batches do not matter, terms steer, and a plugin's mistake is its own."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import BaseModel, Field

import artdiff
from artdiff.api import prepare
from artdiff.hookspecs import hookimpl
from artdiff.preset.draft import Draft, overlay
from artdiff.random import Noise
from artdiff.renderer import load_engine
from artdiff.starting import slerp

FILM = {
    "model": "tiny", "prompts": {"0": "a red fox", "100%": "a blue cat"},
    "frames": {"source": "latent_interpolation", "count": 8, "stops": 3},
}


class Options(BaseModel, extra="forbid"):
    target: float = Field(0.0, ge=-9, le=9)
    mistake: str = ""


class Mean:
    """A loss: leads the latents' mean to a target."""

    Options = Options
    made: ClassVar[list[float]] = []

    def __init__(self, options, setup):
        self.options, self.setup = options, setup
        self.made.append(options.target)

    def loss(self, x0, at, noise):
        assert len(noise.seeds) == len(x0)
        values = (x0.mean((1, 2, 3)) - self.options.target) ** 2
        match self.options.mistake:
            case "raise":
                raise KeyError("oops")
            case "nan":
                return values * torch.nan
            case "gradient":
                return (values * 0).sqrt()
            case "shape":
                return values.mean()
            case "type":
                return 3.0
            case "detached":
                return values.detach()
            case "late" if self.setup.height and noise.seeds[0] >= 4:
                raise ValueError("too late")
        return values


class Clamp:
    """A projection: keeps the latents below a target."""

    Options = Options

    def __init__(self, options, setup):
        self.options = options

    def __call__(self, x0, x, at, noise):
        assert x0.shape == x.shape and len(noise.seeds) == len(x0)
        match self.options.mistake:
            case "raise":
                raise KeyError("oops")
            case "nan":
                return x0 * torch.nan
            case "shape":
                return x0.mean()
            case "type":
                return None
        return x0.clamp(max=self.options.target)


class Invert:
    """An effect."""

    Options = Options

    def __init__(self, options):
        self.options = options

    def __call__(self, picture, job):
        match self.options.mistake:
            case "raise" if job.index == 2:
                raise KeyError("oops")
            case "dtype":
                return picture / 2
            case "shape":
                return picture[..., 0]
            case "type":
                return None
            case "empty":
                return picture[:0]
        return 255 - picture


class Jump:
    """A sampler of one step at a time."""

    class Options(BaseModel, extra="forbid"):
        mistake: str = ""

    order, nfe = 1, 1

    def __init__(self, mistake):
        self.mistake = mistake

    def init(self, steps):
        return None

    def step(self, denoise, x, a, b, state, noise):
        x0 = denoise(x, a)
        wrong = {"pair": (x0, x0), "none": None, "shape": (x0[0], x0, None), "alone": x0}
        return wrong.get(self.mistake, (artdiff.transfer(x, x0, a, b), x0, None))


class Leap(Jump):
    """One that brings levels."""

    def levels(self, schedule):
        whole = artdiff.levels(schedule, 4)
        return {"few": whole[:1], "type": 3}.get(self.mistake, whole)


class Late:
    """A grid."""

    Options = Jump.Options

    def __init__(self, mistake):
        self.mistake = mistake

    def times(self, schedule, steps, start):
        times = start * torch.linspace(1, 1 / steps, steps, dtype=torch.float64)
        wrong = {"short": times[1:], "nan": times * torch.nan, "list": [1.0]}
        return wrong.get(self.mistake, times)


class Plugin:
    @hookimpl
    def register_guidance(self):
        return {"mean": Mean, "clamp": Clamp}

    @hookimpl
    def register_samplers(self):
        return {"jump": Jump, "leap": Leap}

    @hookimpl
    def register_grids(self):
        return {"late": Late}

    @hookimpl
    def register_effects(self):
        return {"invert": Invert}


@pytest.fixture
def engine(registry):
    registry.manager.register(Plugin(), "glows")

    def engine(**settings):
        draft = overlay(Draft("film", {}, {}), FILM, "film.toml")
        return load_engine(prepare(draft, registry, settings).plan, registry)

    return engine


def jobs(engine, *indices):
    return [engine.plan.job(i) for i in indices or range(engine.plan.count)]


def apart(a, b):
    return np.abs(np.int16(a) - np.int16(b)).max()


# Noise and batches.


def test_slerp_keeps_the_length_of_noise_and_meets_both_ends():
    a, b = (Noise([s, s + 9]).normal(torch.empty(2, 4, 16, 16), "start") for s in (1, 2))
    for t in (0.0, 0.25, 0.5, 0.9, 1.0):
        way = slerp(a, b, torch.tensor([t, t]))
        assert way.square().mean((1, 2, 3)).sqrt() == pytest.approx(1, abs=0.06)
    assert ((a + b) / 2).square().mean().sqrt() < 0.75  # what a straight line would do
    assert torch.equal(slerp(a, b, torch.zeros(2)), a)
    assert torch.equal(slerp(a, b, torch.ones(2)), b)
    assert torch.equal(slerp(a, a, torch.tensor([0.3, 0.7])), a)
    assert slerp(a, -a, torch.tensor([0.3, 1.0])).isfinite().all()


def test_slerp_turns_evenly():
    a, b = (torch.randn(1, 4, 8, 8, generator=torch.manual_seed(s)).double() for s in (1, 2))
    a, b = a / a.norm(), b / b.norm()
    angle = (a * b).sum().acos().item()
    for t in (0.2, 0.5, 0.7):
        way = slerp(a, b, torch.tensor([t]))
        assert way.norm().item() == pytest.approx(1)
        assert (a * way).sum().acos().item() == pytest.approx(t * angle, rel=1e-6)


def test_a_stop_of_a_film_is_the_picture_of_its_seed(engine):
    film = engine(**{"prompt": "a red fox", "seed": 4, "frames.stops": 2})
    stills = engine(**{"prompt": "a red fox", "seed": 4, "frames.source": "still"})
    one, two = (film.images(jobs(film, i))[0] for i in (0, 4))
    assert apart(one, two) > 2
    assert np.array_equal(one, stills.images(jobs(stills, 0))[0])
    assert np.array_equal(two, stills.images(jobs(stills, 1))[0])
    half = film.start(jobs(film, 2), torch.empty(1, 4, 2, 2))
    ends = [stills.start(jobs(stills, i), torch.empty(1, 4, 2, 2)) for i in (0, 1)]
    assert torch.equal(half, slerp(*ends, torch.tensor([0.5])))


def test_the_batch_does_not_matter(engine):
    one = engine(batch=1)
    like = torch.empty(8, 4, 2, 2)
    together = one.start(jobs(one), like)
    alone = torch.cat([one.start([job], like[:1]) for job in jobs(one)])
    assert torch.equal(together, alone)
    pictures = one.images(jobs(one))
    assert len({p.tobytes() for p in pictures}) == 8
    for job, picture in zip(jobs(one), pictures, strict=True):
        assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
        assert apart(one.images([job])[0], picture) <= 2


@pytest.mark.parametrize("sampler", ["ddpm", "dpmpp_2m_sde"])
def test_fresh_noise_is_the_jobs_own_in_every_batch(engine, sampler):
    made = engine(**{"sampler.name": sampler})
    together, alone = made.images(jobs(made)), [made.images([j])[0] for j in jobs(made, 0, 5)]
    assert apart(together[0], alone[0]) <= 2 and apart(together[5], alone[1]) <= 2


def test_engines_give_the_same_bytes_again(engine):
    first, second = engine(), engine()
    for a, b in zip(first.images(jobs(first)), second.images(jobs(second)), strict=True):
        assert np.array_equal(a, b)


def test_guidance_scales_may_differ_in_a_batch(engine):
    scale = {"0": 1.0, "1": 7.0, "easing": "hold"}
    mixed = engine(**{"guidance.scale": scale})
    pictures = mixed.images(jobs(mixed, 0, 1))
    assert apart(pictures[0], engine(**{"guidance.scale": 1}).images(jobs(mixed, 0))[0]) <= 2
    assert apart(pictures[1], engine(**{"guidance.scale": 7}).images(jobs(mixed, 1))[0]) <= 2


def test_mixed_prompts_are_the_weighted_sum_of_their_conditionings(engine):
    made = engine()
    fox, cat = (made.model.conditioner([text]) for text in ("a red fox", "a blue cat"))
    mixed = made.conditioning([(("a red fox", 0.25), ("a blue cat", 0.75)), (("a red fox", 1.0),)])
    for key, value in mixed.items():
        assert torch.allclose(value[:1], 0.25 * fox[key] + 0.75 * cat[key], atol=1e-6)
        assert torch.equal(value[1:], fox[key])


def test_what_makes_a_difference(engine):
    made = engine()
    plain = made.images(jobs(made, 3))[0]
    for change in (
        {"negative": "winter"}, {"guidance.scale": 5}, {"sampler.steps": 5}, {"seed": 1},
        {"sampler.shift": 3}, {"guidance.rescale": 1}, {"prompt": "night"},
    ):
        other = engine(**change)
        assert apart(other.images(jobs(other, 3))[0], plain) > 0, change


# Terms.


@pytest.fixture
def latents():
    """The mean of each row's latents at the end, as the engine decodes them."""

    def latents(engine, indices=(0, 1, 2, 3)):
        seen = {}
        engine.observe = lambda job, step: seen.update({job.index: step.x.mean().item()})
        engine.images(jobs(engine, *indices))
        return [seen[i] for i in indices]

    return latents


@pytest.mark.parametrize("through", ["x0", "denoiser"])
def test_a_loss_leads_to_its_target(engine, latents, through):
    common = {"guidance.through": through, "sampler.steps": 6}
    plain = latents(engine(**common))
    far = latents(engine(**common, **{"terms.mean.target": 3, "terms.mean.weight": 20}))
    for before, after in zip(plain, far, strict=True):
        assert abs(3 - after) < abs(3 - before) - 0.1


def test_a_model_loaded_in_inference_mode_is_led_the_same(engine, latents):
    settings = {"guidance.through": "denoiser", "terms.mean.target": 3}
    with torch.inference_mode():
        led = engine(**settings)
    assert latents(led) == latents(engine(**settings))


def test_a_weight_of_0_has_no_effect(engine):
    plain = engine()
    pictures = plain.images(jobs(plain))
    for term in ("mean", "clamp"):
        idle = engine(**{f"terms.{term}.weight": 0, "guidance.through": "x0"})
        for a, b in zip(idle.images(jobs(idle)), pictures, strict=True):
            assert np.array_equal(a, b)


def test_a_projection_has_the_last_word_and_its_weight_is_a_share(engine, latents):
    plain = latents(engine())
    whole = latents(engine(**{"terms.clamp.target": -1}))
    half = latents(engine(**{"terms.clamp.target": -1, "terms.clamp.weight": 0.5}))
    assert max(whole) <= -1 + 1e-5
    assert all(w < h < p for w, h, p in zip(whole, half, plain, strict=True))


def test_keyframed_options_reach_their_own_rows(engine, latents):
    """One instance for each set of values, serving all frames of the batch that have it."""
    keyed = {"terms.mean.target": {"0": -2, "2": 4, "easing": "hold"}, "terms.mean.weight": 20,
             "guidance.through": "x0"}
    Mean.made.clear()
    found = latents(engine(**keyed))
    assert Mean.made == [-2, 4]
    for target, place in ((-2, slice(0, 2)), (4, slice(2, 4))):
        steady = engine(**{**keyed, "terms.mean.target": target})
        assert found[place] == pytest.approx(latents(steady)[place], abs=1e-5)
    clamped = latents(engine(**{"terms.clamp.target": {"0": -1, "2": 9, "easing": "hold"}}))
    assert max(clamped[:2]) <= -1 + 1e-5
    assert clamped[2:] == pytest.approx(latents(engine())[2:], abs=1e-5)


def complaint(made, *indices):
    with pytest.raises(artdiff.PluginError) as caught:
        made.images(jobs(made, *indices))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("through", ["x0", "denoiser"])
@pytest.mark.parametrize(("mistake", "said"), [
    ("raise", "failed: KeyError: 'oops'"), ("nan", "returned a loss that is not finite"),
    ("gradient", "the gradient is not finite"), ("shape", "torch.float32 () as a loss, not (4,)"),
    ("type", "returned float as a loss"), ("detached", "a loss that does not depend on x0"),
])
def test_mistakes_in_a_loss(engine, mistake, said, through):
    made = engine(**{"terms.mean.mistake": mistake, "guidance.through": through})
    message = complaint(made, 4, 5, 6, 7)
    first = 1 if through == "x0" else 2  # nothing flows through the denoiser at alpha = 0
    assert message.startswith(f"frames 4 to 7, step {first} of 4: guidance 'mean")
    assert said in message
    assert "glows" in message


def test_a_wrong_shape_is_seen_in_groups_as_well(engine):
    made = engine(**{"terms.mean.mistake": "shape", "terms.mean.target": {"0": 0, "7": 7}})
    assert "as a loss, not (1,)" in complaint(made, 0, 1, 2)


@pytest.mark.parametrize(("mistake", "said"), [
    ("raise", "failed: KeyError: 'oops'"), ("nan", "returned x0 that is not finite"),
    ("shape", "torch.float32 () as x0, not (1, 4, 2, 2)"), ("type", "returned NoneType as x0"),
])
def test_mistakes_in_a_projection(engine, mistake, said):
    message = complaint(engine(**{"terms.clamp.mistake": mistake}), 3)
    assert message.startswith("frame 3, step 1 of 4: guidance 'clamp' (plugin 'glows') ")
    assert said in message


@pytest.mark.parametrize(("mistake", "said"), [
    ("raise", "frame 2: effect 'invert' (plugin 'glows') failed: KeyError: 'oops'"),
    ("dtype", "frame 0: effect 'invert' (plugin 'glows') returned float64 (32, 32, 3), not"),
    ("shape", "returned uint8 (32, 32), not a uint8 picture"), ("type", "returned NoneType"),
    ("empty", "returned uint8 (0, 32, 3)"),
])
def test_mistakes_in_an_effect(engine, mistake, said):
    assert said in complaint(engine(**{"effects.invert.mistake": mistake}))


@pytest.mark.parametrize(("settings", "said"), [
    ({"name": "jump", "mistake": "pair"}, "frame 0, step 1 of 4: sampler 'jump' (plugin 'glows') "
     "returned (torch.float32 (1, 4, 2, 2), torch.float32 (1, 4, 2, 2)) from step, not (x, x0, "),
    ({"name": "jump", "mistake": "none"}, "returned (NoneType) from step"),
    ({"name": "jump", "mistake": "shape"}, "returned (torch.float32 (4, 2, 2), torch.float32 "),
    ({"name": "jump", "mistake": "alone"}, "returned (torch.float32 (1, 4, 2, 2)) from step"),
    ({"name": "leap", "mistake": "few"}, "returned list as levels, not two or more artdiff."),
    ({"name": "leap", "mistake": "type"}, "returned int as levels"),
    ({"grid": {"name": "late", "mistake": "short"}}, "frame 0: grid 'late' (plugin 'glows') "
     "returned torch.float64 (3,) as times, not 4 finite ones"),
    ({"grid": {"name": "late", "mistake": "nan"}}, "returned torch.float64 (4,) as times"),
    ({"grid": {"name": "late", "mistake": "list"}}, "returned list as times"),
])  # fmt: skip
def test_mistakes_in_a_sampler_or_a_grid(engine, settings, said):
    assert said in complaint(engine(sampler=settings | {"steps": 4}), 0)
    right = {key: value for key, value in settings.items() if key == "name"}
    made = engine(sampler=right | {"grid": "late", "steps": 4})
    assert made.images(jobs(made, 0))[0].shape == (32, 32, 3)


def test_a_plugins_mistake_keeps_what_is_finished(registry, tmp_path):
    registry.manager.register(Plugin(), "glows")
    draft = overlay(Draft("film", {}, {}), FILM, "film.toml")
    settings = {"terms.mean.mistake": "late", "frames": {"source": "still", "count": 8}}
    said = r"^frames 4 to 7, step . of 4: .*ValueError: too late"
    with pytest.raises(artdiff.PluginError, match=said):
        artdiff.render(draft, tmp_path / "film", settings=settings, registry=registry)
    assert artdiff.FrameStore.existing(tmp_path / "film").present() == [0, 1, 2, 3]


def test_effects_run_in_order(engine):
    plain = engine()
    picture = plain.images(jobs(plain, 0))[0]
    once = engine(**{"effects.invert.target": 0})
    twice = engine(effects={"a": {"use": "invert"}, "b": {"use": "invert"}})
    assert np.array_equal(once.images(jobs(once, 0))[0], 255 - picture)
    assert np.array_equal(twice.images(jobs(twice, 0))[0], picture)


def test_a_model_that_gives_no_numbers_is_named(engine):
    made = engine()
    denoise = made.model.denoiser

    def broken(x, at, cond):
        x0 = denoise(x, at, cond)
        x0[2] = torch.nan
        return x0

    object.__setattr__(made.model, "denoiser", broken)
    with pytest.raises(artdiff.ModelError, match="frame 2: the model 'tiny' gave numbers that"):
        made.images(jobs(made))
