"""The text-image encoder: it learns, it adds up in parts, and open_clip loads it as its own."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from pydantic import BaseModel

if find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from artdiff.errors import PresetError
from artdiff.openclip import import_open_clip
from artdiff.registry import create_registry
from artdiff.train import loop
from artdiff.train.checkpoint import load_checkpoint, read_tensors
from artdiff.train.clip import ClipTask, contrastive_loss
from artdiff.train.data import to_images
from artdiff.train.kinds import build_task, parse_recipe
from artdiff.train.report import read_metrics

open_clip = import_open_clip()

COLOURS = {"red": (230, 30, 30), "green": (20, 200, 40), "blue": (30, 40, 230),
           "white": (250, 250, 250), "black": (5, 5, 5), "yellow": (240, 220, 20)}  # fmt: skip
NAMES = list(COLOURS)


class Halves:
    """Two colours, one above the other."""

    name = "halves"
    version = "1"

    class Options(BaseModel, extra="forbid"):
        size: int = 16

    def __init__(self, options=None):
        self.options = options or self.Options()

    def attributes(self, index):
        top, bottom = np.random.default_rng(index).integers(len(NAMES), size=2)
        return {"top": NAMES[top], "bottom": NAMES[bottom]}

    def picture(self, index):
        facts, half = self.attributes(index), self.options.size // 2
        noise = np.random.default_rng([index, 1]).integers(-5, 5, (2 * half, 2 * half, 1))
        rows = [COLOURS[facts["top"]]] * half + [COLOURS[facts["bottom"]]] * half
        picture = np.array(rows)[:, None] + noise
        return picture.clip(0, 255).astype(np.uint8)

    def caption(self, index, draw):
        facts = self.attributes(index)
        if draw % 2:
            return f"{facts['bottom']} below {facts['top']}"
        return f"{facts['top']} above {facts['bottom']}"

    def vocabulary(self):
        return sorted({*NAMES, "above", "below"})


def recipe(steps=60, clip=None, **changes):
    small = {"embed": 32, "validation": 64,
             "vision": {"patch": 4, "width": 32, "layers": 2, "head_width": 16},
             "text": {"length": 8, "width": 32, "layers": 1, "heads": 2}}  # fmt: skip
    return parse_recipe({
        "kind": "clip", "seed": 2, "batch": 32,
        "data": {"dataset": "halves", "count": 256, "held_out": 64, "workers": 0},
        "clip": small | (clip or {}),
        "optim": {"muon_lr": 1e-2, "adam_lr": 5e-3, "warmup": 5, "cooldown": 0.3},
        "ema": {"half_life": 5}, "stop": {"steps": steps},
        "cadence": {"save_steps": 20, "validate_steps": 30, "sheet_steps": steps},
        **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip") / "run"
    loop.train(recipe(), Halves(), folder)
    return folder


def validations(folder):
    lines = read_metrics(folder / "metrics.jsonl")
    return [line["validation"] for line in lines if "validation" in line]


def test_it_learns_to_tell_pairs_apart(run):
    last = validations(run)[-1]
    assert last["retrieval/text"] > 0.4 and last["retrieval/picture"] > 0.4  # chance is 1/36
    assert last["loss"] < validations(run)[0]["loss"]
    assert (run / "samples" / "000060.png").stat().st_size > 1000


def test_open_clip_loads_the_folder(run):
    """Without a network, by its own means; a caption finds its picture among all colours."""
    name = f"local-dir:{run}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    from PIL import Image

    data = Halves()
    pictures = [Image.fromarray(data.picture(index)) for index in range(64)]
    captions = [data.caption(index, 0) for index in range(64)]
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(p) for p in pictures]), normalize=True)
        texts = model.encode_text(tokenizer(captions), normalize=True)
    nearest = (images @ texts.mT).argmax(1).tolist()
    right = np.mean([captions[found] == own for found, own in zip(nearest, captions, strict=True)])
    assert right == pytest.approx(validations(run)[-1]["retrieval/text"], abs=0.04)
    same = to_images(np.stack([np.asarray(p) for p in pictures[:4]]))
    torch.testing.assert_close(torch.stack([preprocess(p) for p in pictures[:4]]), same)


def test_open_clip_loads_weights_that_are_kept_in_8_bits(tmp_path):
    loop.train(recipe(2, keep="int8"), Halves(), tmp_path / "run")
    tensors, _ = read_tensors(tmp_path / "run" / "model.safetensors")
    model = open_clip.create_model(f"local-dir:{tmp_path / 'run'}")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, tensors[name].float(), atol=1e-4, rtol=1e-3)


def test_evaluation_can_use_the_folder(run):
    """Pooled features of pictures that have the model's size are its embeddings."""
    kind = create_registry().get("feature_extractors", "open_clip")
    extractor = kind(kind.Options(model=f"local-dir:{run}"))
    data = Halves()
    pictures = torch.stack([torch.from_numpy(data.picture(i)).permute(2, 0, 1) for i in range(8)])
    images = extractor.pictures(pictures)["aligned"]
    texts = extractor.texts([data.caption(i, 0) for i in range(8)])
    assert images.shape == texts.shape == (8, texts.shape[1])
    model = open_clip.create_model(f"local-dir:{run}").eval()
    mean, std = model.visual.image_mean, model.visual.image_std
    scaled = (pictures / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(images, model.encode_image(scaled), rtol=1e-4, atol=1e-5)


def test_words_that_no_caption_had_are_empty(run):
    model = open_clip.create_model(f"local-dir:{run}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{run}")
    embedding = model.token_embedding.weight
    known, strange = tokenizer("red above black")[0][1:4], tokenizer("zebra")[0][1:2]
    assert (embedding[known].abs().sum(1) > 0).all() and not embedding[strange].any()
    config = json.loads((run / "open_clip_config.json").read_text())
    assert config["model_cfg"]["vision_cfg"]["image_size"] == 16
    assert 0 < int((embedding.abs().sum(1) > 0).sum()) < 20


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("parts", [(range(12),), (range(5), range(5, 12)),
                                   (range(3), range(3, 4), range(4, 12))])  # fmt: skip
def test_parts_of_a_batch_add_up_to_the_whole(loss, parts, tmp_path):
    small = recipe(clip={"loss": loss}, batch=12)
    whole, piecewise = (build_task(small, Halves(), tmp_path / "run") for _ in range(2))
    value, _ = whole.loss(3, range(12))
    value.backward()
    total = 0.0
    for rows in parts:
        part = piecewise.loss(3, rows)[0] * (len(rows) / 12)
        part.backward()
        total += part.item()
    assert total == pytest.approx(value.item(), rel=1e-5)
    for (name, one), other in zip(
        whole.model.named_parameters(), piecewise.model.parameters(), strict=True
    ):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_losses_equal_open_clips():
    draws = torch.Generator().manual_seed(0)
    images, texts = (
        torch.nn.functional.normalize(torch.randn(9, 5, generator=draws), dim=1) for _ in range(2)
    )
    from open_clip.loss import SigLipLoss

    scale, bias = torch.tensor(7.0), torch.tensor(-3.0)
    want = open_clip.ClipLoss()(images, texts, scale)
    torch.testing.assert_close(contrastive_loss(images, texts, scale, None), want)
    want = SigLipLoss()(images, texts, scale, bias)
    torch.testing.assert_close(contrastive_loss(images, texts, scale, bias), want)


def test_accumulated_and_resumed_runs_are_the_same_run(tmp_path):
    def losses(folder):
        lines = read_metrics(folder / "metrics.jsonl")
        return [line["loss"] for line in lines if "loss" in line]

    loop.train(recipe(8, batch=8), Halves(), tmp_path / "whole")
    loop.train(recipe(8, batch=8, accumulate=3), Halves(), tmp_path / "parts")
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(tmp_path / "whole"), rtol=1e-3)
    cadence = {"save_steps": 4, "validate_steps": 100, "sheet_steps": 100}
    loop.train(recipe(8, batch=8, cadence=cadence), Halves(), tmp_path / "again")
    newest = max((tmp_path / "again").glob("checkpoint-*"))
    newest.unlink()
    found = load_checkpoint(tmp_path / "again")
    assert found is not None and found[1]["step"] == 4
    loop.train(recipe(8, batch=8, cadence=cadence), Halves(), tmp_path / "again")
    assert losses(tmp_path / "again") == losses(tmp_path / "whole")
    ends = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("again", "whole")]
    assert len(ends[0]) == len(ends[1])


@pytest.mark.parametrize(("changes", "said"), [
    ({"clip": {"vision": {"patch": 5}}}, "clip.vision.patch: pictures of 16"),
    ({"clip": {"text": {"heads": 3}}}, "multiple of heads"),
    ({"clip": {"vision": {"width": 50}}}, "multiple of head_width"),
    ({"batch": 1}, "other pairs"),
    ({"data": {"dataset": "halves", "count": 8, "flip": True}}, "left and right"),
    ({"clip": {"loss": "softmax"}}, "clip.loss"),
    ({"clip": {"embedding": 3}}, "did you mean 'embed'"),
])  # fmt: skip
def test_recipes_that_are_wrong(changes, said, tmp_path):
    with pytest.raises(PresetError) as caught:
        ClipTask(recipe(**changes), Halves(), tmp_path, tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
