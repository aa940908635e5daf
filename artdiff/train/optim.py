"""Muon for the inner weight matrices and AdamW for the rest, as one optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from artdiff.train.recipe import OptimRecipe


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of matrices (N, r, c) near 1, without changing their directions.

    The quintic Newton-Schulz iteration ``X <- (a I + b A + c A^2) X``, ``A = X X^T``, of Muon
    (Jordan et al., 2024). Every iterate is a polynomial of the first A times X, so the loop works
    on the small (min(r, c) square) Gram matrices and multiplies with X once, at the end.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    gram = x @ x.mT
    eye = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    total: Tensor | None = None
    for left in reversed(range(steps)):
        square = gram @ gram
        poly = torch.add(a * eye + b * gram, square, alpha=c)
        total = poly if total is None else poly @ total
        if left:
            gram = poly @ (poly @ gram)
    assert total is not None
    x = total @ x
    return x.mT if tall else x


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
            stack = orthogonalise(torch.cat([update for _, update in members]))
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


def build_optimizer(model: nn.Module, recipe: OptimRecipe) -> Optimizer:
    """Sort the parameters: weights of Linear layers (and, if `convs`, dense convs) to Muon.

    A Linear layer with an attribute ``parts = n`` is n matrices stacked along its rows. Modules
    whose names are in the model's ``edges`` (first and last layers) stay with AdamW, as do
    embeddings, depthwise convolutions, biases and tables.
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
    return Optimizer(recipe, matrices, others)
