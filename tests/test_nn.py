"""The starter model's networks: shapes, sizes, and what makes prompts mixable."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from artdiff.nn.attention import attention
from artdiff.nn.codec import Codec, CodecConfig, calibrate
from artdiff.nn.latent_transformer import (
    LatentTransformer,
    LatentTransformerConfig,
    place_features,
)
from artdiff.nn.narrow import narrow
from artdiff.nn.text import EMPTY, PAD, UNKNOWN, Tokenizer
from artdiff.nn.threads import by_rows

SMALL = LatentTransformerConfig(
    channels=4, stem=16, stem_depth=1, width=32, depth=4, heads=2, hidden=64, vocabulary=40,
    text_length=8, text_width=24, text_depth=1, text_heads=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def awake(model):
    """Give the zero-initialised layers weights, so that every path matters."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def flops(call):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_codec_size():
    codec = Codec()
    assert 0.9e6 < parameters(codec.encoder) < 1.2e6
    assert 2.7e6 < parameters(codec.decoder) < 3.1e6
    assert flops(lambda: codec.decode(torch.zeros(1, 16, 16, 16))) < 5e9
    assert codec.config.factor == 16


@pytest.mark.parametrize("size", [(32, 32), (48, 80)])
def test_codec_shapes(size):
    codec = Codec()
    images = torch.rand(2, 3, *size) * 2 - 1
    latents = codec.encode(images)
    assert latents.shape == (2, 16, size[0] // 16, size[1] // 16)
    assert codec.decode(latents).shape == images.shape
    assert codec(images, torch.zeros_like(latents)).shape == images.shape


def test_codec_latents_are_standardised():
    codec = Codec(CodecConfig(channels=4, encoder_widths=(8, 8), decoder_widths=(8, 8),
                              encoder_depths=(1, 1), decoder_depths=(1, 1)))
    images = torch.rand(8, 3, 64, 64) * 2 - 1
    for latents in (codec.train().encode(images), None):
        if latents is None:
            calibrate(codec, [images[:4], images[4:]])
            latents = codec.eval().encode(images)
        cells = latents.transpose(0, 1).flatten(1)
        assert cells.mean(1).abs().max() < 1e-4
        assert (cells.var(1) - 1).abs().max() < 0.02


@pytest.mark.parametrize("name", [
    "encoder_widths", "encoder_depths", "decoder_widths", "decoder_depths"
])  # fmt: skip
@pytest.mark.parametrize("sizes", [(8, 8), (8, 8, 8, 8), ()])
def test_codec_refuses_uneven_scales(name, sizes):
    with pytest.raises(ValueError, match="scales"):
        CodecConfig(**{name: sizes})


@pytest.mark.parametrize("sizes", [
    {"patch": 0}, {"channels": -1}, {"encoder_depths": (1, 0, 1)}, {"decoder_widths": (8, 8, -8)}
])  # fmt: skip
def test_codec_refuses_sizes_below_1(sizes):
    with pytest.raises(ValueError, match="1 or more"):
        CodecConfig(**sizes)


def test_denoiser_size():
    model = LatentTransformer(LatentTransformerConfig())
    assert 10e6 < parameters(model) < 12e6
    text = model.encode_text(torch.zeros(1, 24, dtype=torch.long))
    assert flops(lambda: model(torch.zeros(1, 16, 16, 16), torch.zeros(1), text)) < 1.45e9


@pytest.mark.parametrize("size", [(8, 8), (4, 10), (12, 6)])
def test_denoiser_takes_any_even_size(size):
    model = awake(LatentTransformer(SMALL))
    text = model.encode_text(torch.randint(3, 40, (2, 8)))
    x = torch.randn(2, 4, *size)
    assert model(x, torch.tensor([0.2, 1.0]), text).shape == x.shape


def test_denoiser_begins_at_zero():
    model = LatentTransformer(SMALL)
    text = model.encode_text(torch.randint(3, 40, (2, 8)))
    assert model(torch.randn(2, 4, 8, 8), torch.rand(2), text).abs().max() == 0


def test_denoiser_rows_are_independent():
    model = awake(LatentTransformer(SMALL))
    x, t, ids = torch.randn(5, 4, 8, 8), torch.rand(5), torch.randint(0, 40, (5, 8)).clamp(1)
    together = model(x, t, model.encode_text(ids))
    for i in range(5):
        row = slice(i, i + 1)
        alone = model(x[row], t[row], model.encode_text(ids[row]))
        assert (alone - together[row]).abs().max() < 1e-5


def test_denoiser_uses_all_it_is_told():
    model = awake(LatentTransformer(SMALL))
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([0.5])
    text = model.encode_text(torch.tensor([[5, 6, 7, 0, 0, 0, 0, 0]]))
    other = model.encode_text(torch.tensor([[5, 6, 8, 0, 0, 0, 0, 0]]))
    base = model(x, t, text)
    assert not torch.allclose(base, model(x, t, other), atol=1e-4)
    assert not torch.allclose(base, model(x, t, text | {"states": other["states"]}), atol=1e-5)
    assert not torch.allclose(base, model(x, t, text | {"pooled": other["pooled"]}), atol=1e-5)
    assert not torch.allclose(base, model(x, t + 0.3, text), atol=1e-4)


def test_prompts_mix_smoothly():
    """Equal small steps of the weight make equal small steps of the output, ends included."""
    model = awake(LatentTransformer(SMALL))
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([0.7])
    short = model.encode_text(torch.tensor([[5, 6, 0, 0, 0, 0, 0, 0]]))
    long = model.encode_text(torch.tensor([[9, 8, 7, 6, 5, 4, 3, 10]]))
    outputs = []
    for weight in torch.linspace(0, 1, 33):
        mixed = {name: torch.lerp(short[name], long[name], weight) for name in short}
        outputs.append(model(x, t, mixed))
    assert torch.allclose(outputs[0], model(x, t, short), atol=1e-6)
    assert torch.allclose(outputs[-1], model(x, t, long), atol=1e-5)
    steps = torch.stack([(b - a).norm() for a, b in pairwise(outputs)])
    assert steps.max() < 4 * steps.mean()
    assert steps.max() < 0.25 * (outputs[-1] - outputs[0]).norm()


def test_places_span_the_frame_whatever_its_size():
    small, large = place_features(4, 4, 8, torch.device("cpu")), place_features(
        4, 12, 8, torch.device("cpu")
    )
    assert small.shape == (16, 32)
    assert torch.allclose(small.view(4, 4, 32), large.view(4, 12, 32)[:, 1::3], atol=1e-6)


def test_tokenizer(tmp_path):
    tokenizer = Tokenizer(["fox", "red", "snow"], length=5)
    assert tokenizer.ids("A red FOX!") == [UNKNOWN, 4, 3, PAD, PAD]
    assert tokenizer.ids(" ... ") == [EMPTY, PAD, PAD, PAD, PAD]
    assert tokenizer.ids("fox " * 9) == [3] * 5
    assert tokenizer(["fox", "snow-red"]).tolist() == [[3, 0, 0, 0, 0], [5, 4, 0, 0, 0]]
    assert len(tokenizer) == 6
    tokenizer.save(tmp_path / "words.txt")
    assert Tokenizer.load(tmp_path / "words.txt").words == ["fox", "red", "snow"]


def test_tokenizer_names_unknown_words():
    tokenizer = Tokenizer(["fox", "red", "snow"])
    assert tokenizer.unknown("a red Zebra, a fox_zebra") == ["a", "zebra"]
    assert tokenizer.unknown("red fox") == []


def test_narrow_products_change_little_and_leave_the_stream_alone():
    model, codec = awake(LatentTransformer(SMALL)), Codec().eval()
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.9])
    text = model.encode_text(torch.tensor([[5, 6] + 6 * [0]] * 2))
    latents = torch.randn(1, 16, 2, 2)
    wide, picture = model(x, t, text), codec.decode(latents)
    narrow(model, torch.bfloat16)
    codec.decoder.to(torch.bfloat16)
    assert {model.blocks[0].up.weight.dtype, model.time[0].weight.dtype} == {
        torch.bfloat16, torch.float32
    }  # fmt: skip
    for before, after in ((wide, model(x, t, text)), (picture, codec.decode(latents))):
        assert after.dtype == torch.float32
        assert 0 < (after - before).norm() < 0.02 * before.norm()
    model(x.requires_grad_(), t, text).square().sum().backward()
    assert x.grad is not None and x.grad.norm() > 0


@pytest.mark.parametrize("inference", [False, True])
def test_rows_are_shared_out_among_threads(inference):
    seen = []

    def call(x, told):
        seen.append((len(x), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return x * told["by"] + told["same"]

    x = torch.arange(5.0)[:, None]
    told = {"by": torch.arange(5.0)[:, None], "same": torch.ones(1)}
    torch.set_num_threads(3)
    with torch.inference_mode(inference), torch.no_grad():
        assert torch.equal(by_rows(call, x, told), x * x + 1)
    assert sorted(seen) == [(1, 1, inference), (2, 1, inference), (2, 1, inference)]
    assert torch.get_num_threads() == 3

    seen.clear()
    by_rows(call, x.requires_grad_(), told).sum().backward()
    assert seen == [(5, 3, False)] and x.grad is not None
    with torch.no_grad(), pytest.raises(ZeroDivisionError):
        by_rows(lambda rows: rows / (1 // 0), x)


def test_rows_are_computed_in_the_type_of_autocast():
    """A thread does not inherit it: a teacher would answer in another type than its student."""
    layer, x = torch.nn.Linear(4, 4), torch.ones(4, 4)
    torch.set_num_threads(2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert by_rows(layer, x).dtype == torch.bfloat16


@pytest.mark.parametrize("length", [16, 5])
def test_attention_for_training_says_what_torch_says(length):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, count, 8) for count in (16, length, length))
    aim = torch.randn(2, 3, 16, 8)

    def answers(attend, dtype):
        parts = [part.clone().to(dtype).requires_grad_() for part in (query, key, value)]
        out = attend(*parts)
        assert out.dtype is dtype and out.shape == aim.shape
        (out.float() * aim).sum().backward()
        return [out.detach(), *(part.grad for part in parts)]

    exact = answers(torch.nn.functional.scaled_dot_product_attention, torch.float32)
    for dtype, near in ((torch.float32, 1e-5), (torch.bfloat16, 0.03)):
        for got, wanted in zip(answers(attention, dtype), exact, strict=True):
            assert (got.float() - wanted).norm() < near * wanted.norm()
