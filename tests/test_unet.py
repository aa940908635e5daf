"""The ADM networks against numbers of the reference implementations, and their own promises."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from artdiff.backends.unet import denoiser_of_network
from artdiff.denoise import bind
from artdiff.nn.unet import UNet, UNetConfig
from artdiff.nn.unet_blocks import TorsoConfig, attention_factors, timestep_features
from artdiff.nn.unet_classifier import ClassifierConfig, ClassifierUNet
from artdiff.nn.unet_facts import NetworkFacts, ProcessFacts
from artdiff.nn.unet_superres import SuperResUNet
from artdiff.process import respace
from artdiff.sample import sample
from artdiff.samplers import SAMPLERS

REFERENCES = Path(__file__).parent / "references"
NUMBERS = np.load(REFERENCES / "unet.npz")
CASES = json.loads(str(NUMBERS["made_by"]))["cases"]
SAMPLES = np.load(REFERENCES / "unet_samples.npz")
RUNS = json.loads(str(SAMPLES["made_by"]))["runs"]
TINY = UNetConfig(width=32, multipliers=(1, 2), blocks=1, attention=(2,), heads=2, classes=5)


def drawn(name, shape):
    """The values that the reference run was given under a name."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))


def fill(network):
    """Load the parameters of the reference run, strictly."""
    tensors = {}
    for name, parameter in network.state_dict().items():
        values = drawn(name, parameter.shape)
        if parameter.ndim > 1:
            values = values / np.sqrt(np.prod(parameter.shape[1:]))
        else:
            values = 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
        tensors[name] = torch.from_numpy(values).to(parameter.dtype)
    network.load_state_dict(tensors, strict=True)
    return network.eval()


def network_of(case, **changes):
    config = case["config"] | changes
    if case["kind"] == "classifier":
        return ClassifierUNet(ClassifierConfig(**config, size=case["size"]))
    kind = SuperResUNet if case["kind"] == "superres" else UNet
    return kind(UNetConfig(**config))


def answer(name, **changes):
    case = CASES[name]
    network = fill(network_of(case, **changes))
    side, channels = case["size"], case["config"]["channels"]
    x = torch.from_numpy(drawn(f"{name}/x", (2, channels, side, side))).float()
    given = [x, torch.tensor([3.0, 417.25])]
    if case["kind"] == "superres":
        low = drawn(f"{name}/low", (2, channels, side // 2, side // 2))
        given.append(torch.from_numpy(low).float())
    if case["kind"] != "classifier" and case["config"].get("classes"):
        given.append(torch.tensor([4, 1]))
    with torch.no_grad():
        return network(*given).numpy()


@pytest.mark.parametrize("name", [name for name in CASES if name != "float16"])
def test_the_outputs_are_those_of_the_reference(name):
    assert np.abs(answer(name) - NUMBERS[name]).max() < 1e-5


def test_the_float16_torso_is_as_far_from_float32_as_that_of_the_reference():
    ours, theirs = answer("float16"), NUMBERS["float16"]
    exact = answer("float16", torso="float32")
    assert np.abs(ours - theirs).max() < 5e-3
    assert 1e-5 < np.abs(theirs - exact).max() < 5e-3


@pytest.mark.parametrize(
    "name, change",
    [
        ("adm", {"attention_order": "legacy"}),
        ("adm", {"head_channels": 32}),
        ("pool", {"heads_up": 4}),
        ("classifier-attention", {"head_channels": 32}),
    ],
)
def test_a_knob_that_no_shape_shows_matters(name, change):
    assert np.abs(answer(name, **change) - NUMBERS[name]).max() > 1e-3


@pytest.mark.parametrize("torso", ["float16", "bfloat16"])
def test_the_torso_alone_is_cast_and_the_answer_stays_close(torso):
    low = fill(UNet(replace(TINY, torso=torso)))
    high = fill(UNet(TINY))
    kinds = {name: p.dtype for name, p in low.named_parameters()}
    assert kinds["input_blocks.1.0.in_layers.2.weight"] == getattr(torch, torso)
    assert kinds["out.2.weight"] == kinds["input_blocks.1.0.in_layers.0.weight"] == torch.float32
    x, t = (
        torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.tensor([5, 9]),
    )
    with torch.no_grad():
        difference = (low(x, t) - high(x, t)).abs().max()
    assert 0 < difference < (0.005 if torso == "float16" else 0.05)


def test_checkpointing_changes_no_gradient():
    gradients = []
    for checkpoint in (False, True):
        network = fill(UNet(replace(TINY, checkpoint=checkpoint, dropout=0.3))).train()
        torch.manual_seed(1)
        network(
            torch.ones(1, 3, 8, 8), torch.tensor([7]), torch.tensor([2])
        ).square().sum().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, gradient in gradients[0].items():
        if name == "label_emb.weight":
            assert gradient[2].abs().sum() > 0
        torch.testing.assert_close(gradient, gradients[1][name], rtol=0, atol=0)


def test_labels_are_one_hot_mixtures_and_no_class_is_zeros():
    network = fill(UNet(TINY))
    x, t = torch.linspace(-1, 1, 384).view(2, 3, 8, 8), torch.tensor([5, 900])
    hot = torch.nn.functional.one_hot(torch.tensor([1, 3]), 5).float()
    with torch.no_grad():
        labels = network(x, t, torch.tensor([1, 3]))
        torch.testing.assert_close(network(x, t, hot), labels, rtol=0, atol=1e-6)
        torch.testing.assert_close(network(x, t, 0 * hot), network(x, t), rtol=0, atol=1e-6)
        assert (network(x, t) - labels).abs().max() > 1e-3


def test_a_new_network_says_nothing():
    assert not UNet(TINY)(torch.randn(1, 3, 4, 6), torch.tensor([3]), torch.tensor([0])).any()


def test_timestep_features_are_the_formula():
    features = timestep_features(torch.tensor([0, 2.5]), 8)
    assert features[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert features[1, 6] == pytest.approx(np.sin(2.5 * 10_000 ** (-2 / 4)), abs=1e-6)


def test_published_resolutions_are_factors():
    assert attention_factors(256, (32, 16, 8)) == (8, 16, 32)


def test_a_config_goes_through_json():
    reader = TypeAdapter(UNetConfig)
    assert reader.validate_json(reader.dump_json(TINY)) == TINY
    with pytest.raises(ValueError, match="wdith"):
        reader.validate_python({"wdith": 3})


@pytest.mark.parametrize(
    "config, wrong",
    [
        ({"width": 48}, "multiple of 32"),
        ({"multipliers": (0.25, 1), "width": 64}, "multiple of 32"),
        ({"multipliers": ()}, "levels"),
        ({"blocks": 0}, "blocks"),
        ({"heads": 3}, "heads = 3"),
        ({"head_channels": 48}, "head_channels = 48"),
        ({"dropout": 1.0}, "dropout .* not 1"),
        ({"dropout": -0.1}, "dropout .* not -0.1"),
        ({"dropout": float("nan")}, "dropout .* not nan"),
    ],
)
def test_sizes_that_do_not_go_together_are_named(config, wrong):
    with pytest.raises(ValueError, match=wrong):
        TorsoConfig(**config)


@pytest.mark.parametrize("heads", [3, 0, -4])
def test_heads_of_the_upward_half_divide_its_channels(heads):
    with pytest.raises(ValueError, match=f"heads_up = {heads} does not divide 512 channels"):
        UNetConfig(width=128, multipliers=(1, 4), attention=(2,), heads=4, heads_up=heads)
    UNetConfig(head_channels=64, heads_up=heads)  # which head_channels overrules
    UNetConfig(attention=(), heads_up=heads)


def test_wrong_classes_and_sizes_are_named():
    network = UNet(replace(TINY, classes=None))
    x, t = torch.zeros(2, 3, 8, 8), torch.tensor([1, 2])
    with pytest.raises(ValueError, match="knows no classes"):
        network(x, t, torch.tensor([1, 1]))
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        UNet(TINY)(x, t, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="head_channels"):
        ClassifierConfig()
    with pytest.raises(ValueError, match="multiple of 8"):
        ClassifierConfig(head_channels=64, size=36)
    sizes = {"width": 32, "multipliers": (1, 2), "blocks": 1, "head_channels": 32}
    with pytest.raises(ValueError, match="16x16, not 8x8"):
        ClassifierUNet(ClassifierConfig(**sizes, size=16))(x, t)


class Given:
    """The noise of the reference run, in place of `artdiff.random.Noise`."""

    def __init__(self, name, step=0):
        self.name, self.step = name, step

    def at(self, step):
        return Given(self.name, step)

    def normal(self, like, stream):
        return torch.from_numpy(drawn(f"{self.name}/step {self.step}", like.shape)).float()


@pytest.mark.parametrize("name", RUNS)
def test_whole_sampling_runs_end_where_those_of_the_reference_do(name):
    """Learned variance, labels, respacing, clipping and the scale of time, all together."""
    run = RUNS[name]
    process = ProcessFacts(run["schedule"], run["steps"], variance="learned-range",
                           rescale=run["rescale"])  # fmt: skip
    config = UNetConfig(**CASES[run["case"]]["config"])
    facts = NetworkFacts("unet", config, process, size=8)
    classes = torch.nn.functional.one_hot(torch.tensor([4, 1]), config.classes).float()
    denoise = bind(denoiser_of_network(fill(UNet(config)), facts), {"classes": classes})
    sampler = SAMPLERS["ddim"]() if name == "ddim" else SAMPLERS["ddpm"](variance="learned")
    levels = respace(process.process(), run["spacing"]).levels()
    x = torch.from_numpy(drawn(f"{name}/start", (2, 3, 8, 8))).float()
    with torch.no_grad():
        for step in sample(sampler, denoise, x, levels, Given(name)):
            x = step.x
    assert np.abs(x.numpy() - SAMPLES[name]).max() < 2e-5
