"""Where a network computes and in what precision; loss scaling for float16."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from artdiff.errors import MachineError, MachineWarning
from artdiff.nn.narrow import processor_has_bfloat16
from artdiff.train.recipe import Precision

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
SMALLEST = 2.0**-10


def pick_device(name: str, local: int = 0) -> torch.device:
    """The device of a recipe: ``auto`` is the GPU of this process where there is one.

    :raises MachineError: CUDA is asked for and not there.
    """
    there = torch.cuda.is_available()
    if name == "cpu" or (name == "auto" and not there):
        return torch.device("cpu")
    if not there:
        raise MachineError("device: this machine has no CUDA device; use 'cpu' or 'auto'")
    return torch.device("cuda", local % torch.cuda.device_count())


def fitting(precision: Precision, device: torch.device) -> Precision:
    """The precision to train in where `precision` is asked for: float32 where that is faster.

    bfloat16 is there to save time; a processor that only imitates it takes a hundred times as
    long, and is warned of (`MachineWarning`).
    """
    native = device.type != "cpu" or processor_has_bfloat16() is not False
    if precision != "bfloat16" or native:
        return precision
    warnings.warn(
        "this processor has no bfloat16; the recipe is trained in float32", MachineWarning,
        stacklevel=2,
    )  # fmt: skip
    return "float32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Matrix products and convolutions in `precision`, the weights stay in float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


class LossScale:
    """The factor that keeps float16 gradients from vanishing; 1 where nothing needs it.

    The loss is multiplied by it and the gradients divided. It halves after a step whose gradients
    were not finite, and that step is left out; it doubles after `patience` good ones (Micikevicius
    et al., "Mixed Precision Training", arXiv 1710.03740, section 3.2).
    """

    def __init__(self, precision: Precision, first: float = 2.0**16, patience: int = 2000) -> None:
        self.active, self.patience = precision == "float16", patience
        self.value = torch.tensor(first if self.active else 1.0, dtype=torch.float64)
        self.good = torch.tensor(0)

    def state(self) -> dict[str, Tensor]:
        """The live tensors for the checkpoint; none where the factor is always 1."""
        return {"value": self.value, "good": self.good} if self.active else {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a saved state; a run that had none begins with the first factor."""
        for name, tensor in self.state().items():
            if name in state:
                tensor.copy_(state[name])

    def scale(self, loss: Tensor) -> Tensor:
        """The loss to differentiate."""
        return loss * self.value.item() if self.active else loss

    def unscale(self, model: nn.Module) -> None:
        """Divide the gradients."""
        if self.active:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(self.value.item())

    def update(self, finite: bool) -> bool:
        """Learn whether a step's gradients were finite; whether the step may be made."""
        if not self.active or (not finite and self.value <= SMALLEST):
            return finite
        if not finite:
            self.value.div_(2)
            self.good.zero_()
            return False
        self.good.add_(1)
        if self.good >= self.patience:
            self.value.mul_(2)
            self.good.zero_()
        return True

    @property
    def exhausted(self) -> bool:
        """Whether a step that is not finite means that training has diverged."""
        return not self.active or bool(self.value <= SMALLEST)
