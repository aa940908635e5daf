"""How pictures are made larger, as a preset and the command say it."""

from __future__ import annotations

from pydantic import BaseModel, Field

STARTER = "starter-upsampler"


class Enlarging(BaseModel, extra="forbid"):
    """How pictures are made larger."""

    model: str = Field(
        STARTER,
        description="An upsampler: its name, a folder with its card, or a file of weights that "
        "spandrel knows (.safetensors, .pth).",
    )
    factor: int = Field(2, ge=2, le=8, description="How many times larger a side becomes.")
    steps: int = Field(
        4, ge=1, le=250, description="Calls of a diffusion upsampler; 1 is smooth, 4 to 8 sharp."
    )
    window: int = Field(
        512, ge=64, le=4096, multiple_of=16, description="Side of a window in large pixels."
    )
    overlap: int = Field(64, ge=0, le=1024, description="Large pixels that windows overlap.")
    dirt: float = Field(
        0.0, ge=0, le=1, description="Noise to take away, of an upsampler that is told of it."
    )
    blur: float = Field(
        0.0, ge=0, le=3, description="Blur to take away, in small pixels; above 0 sharpens."
    )
