"""The networks of `architectures`: forward and backward passes of many at once, along a leading run axis.

Shape letters: R runs (independent policies), N pairs, S state dimension, A action dimension, H hidden width, L linear
layers. A layer's weight has the shape (R, in, out), its bias (R, 1, out).
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from obdistill.policies.architectures import Architecture

GAIN = 2**0.5  # orthogonal initialization of the paper's code, all layers


@dataclass(frozen=True)
class Parameters:
    """Weights (R, in, out) and biases (R, 1, out) of all layers, first to last."""

    weights: list[Tensor]
    biases: list[Tensor]

    def tensors(self) -> list[Tensor]:
        """Return all tensors, weights first."""
        return [*self.weights, *self.biases]

    @classmethod
    def zeros(
        cls, widths: list[int], *leading: int, dtype: torch.dtype, device: torch.device | str, columns: bool = False
    ) -> "Parameters":
        """Allocate parameters with the given leading axes; `columns`: the layout of the last weight, see `Network`."""
        weights = [torch.zeros(*leading, i, o, dtype=dtype, device=device) for i, o in itertools.pairwise(widths)]
        if columns:
            weights[-1] = in_columns(weights[-1])
        return cls(weights, [torch.zeros(*leading, 1, o, dtype=dtype, device=device) for o in widths[1:]])

    def __getitem__(self, index: int | slice) -> "Parameters":
        """Index the leading axis of every tensor."""
        return Parameters([w[index] for w in self.weights], [b[index] for b in self.biases])

    def to(self, device: torch.device) -> "Parameters":
        """Bring parameters that are on the CPU to a device, without making the CPU wait for it."""
        if device.type == "cpu":
            return self
        moved = [[t.pin_memory().to(device, non_blocking=True) for t in ts] for ts in (self.weights, self.biases)]
        return Parameters(*moved)

    def __getstate__(self) -> dict[str, list[np.ndarray]]:
        """Go to another process as arrays: torch would make a file of shared memory for every tensor."""
        return {"weights": [w.numpy() for w in self.weights], "biases": [b.numpy() for b in self.biases]}

    def __setstate__(self, state: dict[str, list[np.ndarray]]) -> None:
        for name, arrays in state.items():
            object.__setattr__(self, name, [torch.from_numpy(array) for array in arrays])

    def copy_(self, other: "Parameters") -> "Parameters":
        """Copy `other` into these tensors."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs)
        return self


def orthogonal_policies(
    architecture: Architecture,
    state_dim: int,
    action_dim: int,
    runs: int,
    generator: torch.Generator,
    zero_output: bool = False,
) -> Parameters:
    """Draw fresh policies: orthogonal weights with gain sqrt(2), zero biases (the paper's code).

    Parameters
    ----------
    architecture : Architecture
        What to build.
    state_dim, action_dim : int
        S and A.
    runs : int
        Number of policies R.
    generator : torch.Generator
        Source of randomness, on the CPU: a seed means the same policies on every device.
    zero_output : bool
        Start the last layer at zero: all fresh policies act alike, and differ in their hidden layers only.

    Returns
    -------
    initial : Parameters
        float32, on the CPU.
    """
    parameters = Parameters.zeros(architecture.widths(state_dim, action_dim), runs, dtype=torch.float32, device="cpu")
    for run in range(runs):
        for weight in parameters.weights:
            torch.nn.init.orthogonal_(weight[run], GAIN, generator=generator)
    if zero_output:
        parameters.weights[-1].zero_()
    return parameters


@dataclass(frozen=True)
class Units:
    """One tensor for each layer's units, before and after a skip is added; the same tensor where no skip ends.

    Attributes
    ----------
    inner : list of Tensor
        Activations: the layer's value after its nonlinearity. Gradients: those of the layer's sum.
    outputs : list of Tensor
        Activations: what the next layer reads. Gradients: those of it.
    """

    inner: list[Tensor]
    outputs: list[Tensor]

    def __getitem__(self, index: int) -> "Units":
        """Index the leading axis of every tensor."""
        inner = [tensor[index] for tensor in self.inner]
        pairs = zip(self.inner, self.outputs, inner, strict=True)
        return Units(inner, [here if output is of_inner else output[index] for of_inner, output, here in pairs])


class Network:
    """Forward and backward passes of R networks over preallocated activations.

    Parameters
    ----------
    architecture : Architecture
        The network's form.
    runs, size, state_dim, action_dim : int
        R, N, S, A.
    dtype, device
        Of all tensors.
    columns : bool
        Keep the last layer's weights and units in memory column by column. With the few columns that actions have, MKL
        multiplies so 4 to 8 times faster; the sums are in another order, so that the last bits differ.
    """

    def __init__(
        self,
        architecture: Architecture,
        runs: int,
        size: int,
        state_dim: int,
        action_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        columns: bool = False,
    ) -> None:
        self.columns = columns
        self.widths = architecture.widths(state_dim, action_dim)
        self.depth = len(self.widths) - 1  # L
        self.sources = {target: source for source, target in architecture.skips}
        self.shape = (runs, size)
        self.dtype, self.device = dtype, torch.device(device)

    def parameters(self, *leading: int) -> Parameters:
        """Allocate parameters with the given leading axes."""
        return Parameters.zeros(self.widths, *leading, dtype=self.dtype, device=self.device, columns=self.columns)

    def layers(self, *leading: int) -> list[Tensor]:
        """Allocate one (*leading, R, N, width) tensor for each layer."""
        layers = [
            torch.zeros(*leading, *self.shape, width, dtype=self.dtype, device=self.device) for width in self.widths[1:]
        ]
        return [*layers[:-1], in_columns(layers[-1])] if self.columns else layers

    def units(self, *leading: int) -> Units:
        """Allocate space for activations, or for gradients."""
        inner = self.layers(*leading)
        outputs = [torch.zeros_like(t) if i + 1 in self.sources else t for i, t in enumerate(inner)]
        return Units(inner, outputs)

    def forward(self, parameters: Parameters, states: Tensor, out: Units) -> Tensor:
        """Compute the actions.

        Parameters
        ----------
        parameters : Parameters
            Of R networks.
        states : Tensor of shape (R, N, S)
            Normalized states.
        out : Units
            Filled with the activations.

        Returns
        -------
        Tensor of shape (R, N, A)
            Actions in [-1, 1]: the last of ``out.outputs``.
        """
        below = states
        for layer, (here, output) in enumerate(zip(out.inner, out.outputs, strict=True)):
            torch.baddbmm(parameters.biases[layer], below, parameters.weights[layer], out=here)  # (R, N, H)
            here.tanh_() if layer == self.depth - 1 else here.relu_()
            if source := self.sources.get(layer + 1):
                torch.add(here, out.outputs[source - 1], out=output)
            below = output
        return below

    def backward(self, parameters: Parameters, activations: Units, out: Units) -> None:
        """Carry the loss gradient from the last layer's sum, ``out.inner[-1]``, down to the first layer's.

        Parameters
        ----------
        parameters : Parameters
            As in `forward`.
        activations : Units
            As `forward` left them.
        out : Units
            Gradients; ``inner[-1]`` is given, the others are filled.
        """
        for layer in range(self.depth - 1, 0, -1):
            torch.bmm(out.inner[layer], parameters.weights[layer].mT, out=out.outputs[layer - 1])  # (R, N, H)
            self.gate(out, activations, layer - 1)

    def regression_gradient(
        self,
        parameters: Parameters,
        states: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        activations: Units,
        deltas: Units,
        out: Parameters,
    ) -> Tensor:
        """Compute the loss ``mean(w |pi(s) - a|^2)``, the mean over pairs and action dimensions, and its gradient.

        Parameters
        ----------
        parameters : Parameters
            Of R networks.
        states, targets : Tensor of shape (R, N, S) and (R, N, A)
            Normalized states and the actions to regress on.
        weights : Tensor of shape (R, N, 1), optional
            Weight of each pair; None means 1.
        activations, deltas : Units
            Work space from `units`.
        out : Parameters
            Receives the gradient of each run's loss.

        Returns
        -------
        Tensor of shape (R,)
            The loss of each run.
        """
        output = self.forward(parameters, states, activations)
        error = output - targets  # (R, N, A)
        weighted = error if weights is None else error * weights
        size = error[0].numel()
        loss = (weighted * error).sum((1, 2)) / size
        torch.mul(weighted, 1 - output * output, out=deltas.inner[-1]).mul_(2 / size)
        self.backward(parameters, activations, deltas)
        for layer, delta in enumerate(deltas.inner):
            below = activations.outputs[layer - 1] if layer else states
            torch.bmm(below.mT, delta, out=out.weights[layer])
            torch.sum(delta, 1, keepdim=True, out=out.biases[layer])
        return loss

    def gate(self, gradients: Units, activations: Units, layer: int) -> None:
        """Add what skips bring to a hidden layer's output gradient, and pass it through the ReLU to the sum's."""
        here = gradients.outputs[layer]
        for target, source in self.sources.items():
            if source == layer + 1:
                here += gradients.outputs[target - 1]
        threshold_backward(here, activations.inner[layer], gradients.inner[layer])


def in_columns(tensor: Tensor) -> Tensor:
    """Return the tensor with its last two axes laid out in memory the other way round."""
    return tensor.mT.contiguous().mT


def threshold_backward(gradient: Tensor, output: Tensor, out: Tensor) -> None:
    """Write ``gradient`` where ``output`` > 0, else 0: the derivative of ReLU in one pass."""
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0.0, grad_input=out)
