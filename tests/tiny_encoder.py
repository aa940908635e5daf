"""A tiny text-image encoder with random weights, as `artdiff train` writes one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from artdiff.openclip import import_open_clip

CONFIG = {
    "model_cfg": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 16, "patch_size": 4, "width": 32, "layers": 2,
                       "head_width": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 24, "heads": 2,
                     "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
}  # fmt: skip
KNOWN = "a red blue fox cat snow sky things object stuff texture"
"""The words that it has heard; the pieces of all others are empty."""


def write_tiny_encoder(folder: Path) -> Path:
    """Write the weights and the config of a tiny encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    library = import_open_clip()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = library.CLIP(**CONFIG["model_cfg"], output_dict=False)
    ids = library.SimpleTokenizer(context_length=12)([KNOWN]).unique()
    with torch.no_grad():
        kept = model.token_embedding.weight[ids].clone()
        model.token_embedding.weight.zero_()
        model.token_embedding.weight[ids] = kept
        for name, parameter in model.named_parameters():
            if "weight" in name and parameter.ndim == 2 and "embedding" not in name:
                parameter.mul_(3)
    tensors = {name: t.contiguous() for name, t in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder
