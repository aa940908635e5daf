"""Muon for the inner weight matrices and AdamW for the rest, as one optimizer."""

# torch documents the foreach functions, but exports them under private names only.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from artdiff.train.recipe import OptimRecipe, Precision

_QUINTICS = (
    (8.2616, -23.4984, 16.7497),
    (4.0305, -2.8775, 0.5188),
    (3.6590, -2.6282, 0.4924),
    (2.8339, -2.1227, 0.4714),
)
"""Each brings the singular values, from the interval the one before leaves, nearest to 1 (minimax,
by linear programming, from [0.002, 1] on, with 2% to spare): four do what five of Muon's do."""


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring the singular values of matrices (N, r, c) near 1, without changing their directions.

    Newton-Schulz steps ``X <- a X + (b A + c A^2) X``, ``A = X X^T`` (Jordan et al., "Muon",
    2024), from X of Frobenius norm 1: singular values above 0.002 end in [0.65, 1.35], smaller
    ones are multiplied by about 340. Every X is a polynomial of the first A times the first X;
    where X is long, the loop works on the small square A only and multiplies with X at the end;
    not in bfloat16, whose rounding it would carry along: values of 0.6 to 1.4 would reach 2.
    The products are computed in `dtype`, the answer is float32.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)).to(dtype)
    long = x.shape[-1] > 1.5 * x.shape[-2] and dtype is torch.float32
    x = (_long_steps(x) if long else _short_steps(x)).float()
    return x.mT if tall else x


def _short_steps(x: Tensor) -> Tensor:
    for a, b, c in _QUINTICS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _long_steps(x: Tensor) -> Tensor:
    gram = x @ x.mT
    total: Tensor | None = None
    for a, b, c in _QUINTICS:
        poly = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        poly.diagonal(dim1=1, dim2=2).add_(a)
        total = poly if total is None else poly @ total
        if (a, b, c) != _QUINTICS[-1]:
            gram = poly @ (poly @ gram)
    assert total is not None
    return total @ x


@dataclass(frozen=True)
class Matrix:
    """One parameter that Muon updates, seen as `parts` matrices stacked along its rows."""

    name: str
    parameter: nn.Parameter
    parts: int

    def shape(self) -> tuple[int, int, int]:
        """(parts, rows, columns) of the matrices."""
        rows = self.parameter.shape[0] // self.parts
        return self.parts, rows, self.parameter.numel() // self.parameter.shape[0]


@dataclass
class Optimizer:
    """Both updates in one; `state` is flat and goes into the checkpoint as it is.

    Muon: Nesterov momentum 0.95, orthogonalised, scaled to the update size of Adam by
    ``0.2 sqrt(max(rows, columns))`` (Liu et al., arXiv 2502.16982, eq. 4).
    AdamW: betas (0.9, 0.98 or as the recipe says), eps 1e-8. Both use decoupled weight decay.
    """

    recipe: OptimRecipe
    matrices: list[Matrix]
    others: dict[str, nn.Parameter]
    dtype: torch.dtype = torch.float32
    state: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for matrix in self.matrices:
            self.state[f"momentum.{matrix.name}"] = torch.zeros_like(matrix.parameter)
        for name, parameter in self.others.items():
            self.state[f"first.{name}"] = torch.zeros_like(parameter)
            self.state[f"second.{name}"] = torch.zeros_like(parameter)

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a saved `state` of the same model."""
        if state.keys() != self.state.keys():
            raise KeyError("the optimizer state belongs to another model or another recipe")
        for name, value in state.items():
            self.state[name].copy_(value)

    @torch.no_grad()
    def step(self, step: int, scale: float) -> None:
        """Update all parameters from their gradients at step `step` (from 0), lr times `scale`."""
        self._muon(scale * self.recipe.muon_lr)
        self._adamw(step, scale * self.recipe.adam_lr)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for matrix in self.matrices:
            matrix.parameter.grad = None
        for parameter in self.others.values():
            parameter.grad = None

    def _muon(self, lr: float) -> None:
        beta = self.recipe.momentum
        groups: dict[tuple[int, int], list[tuple[Matrix, Tensor]]] = {}
        for matrix in self.matrices:
            gradient = matrix.parameter.grad
            if gradient is None:
                continue
            momentum = self.state[f"momentum.{matrix.name}"].lerp_(gradient, 1 - beta)
            update = torch.lerp(gradient, momentum, beta).reshape(matrix.shape())
            groups.setdefault(matrix.shape()[1:], []).append((matrix, update))
        for (rows, columns), members in groups.items():
            stack = orthogonalise(torch.cat([update for _, update in members]), self.dtype)
            size = 0.2 * math.sqrt(max(rows, columns))
            for (matrix, _), update in zip(
                members, stack.split([m.parts for m, _ in members]), strict=True
            ):
                parameter = matrix.parameter
                parameter.mul_(1 - lr * self.recipe.weight_decay)
                parameter.add_(update.reshape(parameter.shape), alpha=-lr * size)

    def _adamw(self, step: int, lr: float) -> None:
        names = [name for name, parameter in self.others.items() if parameter.grad is not None]
        if not names:
            return
        beta1, beta2 = self.recipe.betas
        parameters: list[Tensor] = [self.others[name].data for name in names]
        gradients = [g for name in names if (g := self.others[name].grad) is not None]
        first = [self.state[f"first.{name}"] for name in names]
        second = [self.state[f"second.{name}"] for name in names]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        below = torch._foreach_sqrt(second)
        torch._foreach_div_(below, math.sqrt(1 - beta2 ** (step + 1)))
        torch._foreach_add_(below, 1e-8)
        decayed = [p for p in parameters if p.ndim >= 2]
        if decayed:
            torch._foreach_mul_(decayed, 1 - lr * self.recipe.weight_decay)
        torch._foreach_addcdiv_(parameters, first, below, -lr / (1 - beta1 ** (step + 1)))


def build_optimizer(
    model: nn.Module, recipe: OptimRecipe, precision: Precision = "float32"
) -> Optimizer:
    """Sort the parameters: weights of Linear layers (and, if `convs`, dense convs) to Muon.

    A Linear layer with an attribute ``parts = n`` is n matrices stacked along its rows. Modules
    whose names are in the model's ``edges`` (first and last layers) stay with AdamW, as do
    embeddings, depthwise convolutions, biases and tables. Where `precision` is bfloat16, Muon
    multiplies in it too (float16 has not the range); what it changes stays in float32.
    """
    edges = set(getattr(model, "edges", ()))
    matrices: list[Matrix] = []
    for name, module in model.named_modules():
        linear = isinstance(module, nn.Linear)
        conv = isinstance(module, nn.Conv2d) and module.groups == 1 and recipe.convs
        if recipe.name == "muon" and (linear or conv) and name not in edges:
            parts = int(getattr(module, "parts", 1))
            matrices.append(Matrix(f"{name}.weight", module.weight, parts))  # type: ignore[arg-type]
    inner = {matrix.name for matrix in matrices}
    others = {name: p for name, p in model.named_parameters() if name not in inner}
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return Optimizer(recipe, matrices, others, dtype)
