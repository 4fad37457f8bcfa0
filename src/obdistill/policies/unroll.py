"""Behavior cloning by SGD, and the exact gradient of what comes out of it with respect to the pairs.

The inner loop trains R policies on N pairs (x, a) by T steps of full-batch SGD on

    L(theta) = 1 / (N A) * sum_n |pi_theta(x_n) - a_n|^2,

the mean squared error over all elements (as the paper's code computes it). `Unroll.train` runs it; `Unroll.pull_back`
carries a gradient with respect to the trained parameters back to the pairs. The reverse pass is exact back-propagation
through time, written as forward-over-reverse: at each step it needs the derivative of the gradient of L in one
direction of parameter space only, which is the tangent of one forward and one backward pass. With L linear layers a
step costs 3 L products forward and 6 L in reverse, and nothing is differentiated twice by a graph.

Notation: a dot means "tangent", ``delta`` the loss gradient at a layer's sum; shape letters as in `network`.
"""

import torch
from torch import Tensor

from obdistill.policies.network import Network, Parameters, Units, in_columns, threshold_backward


class Unroll:
    """T inner steps with all buffers allocated once.

    Parameters
    ----------
    network : Network
        The R policies on N pairs.
    steps : int
        Number of inner steps T, >= 1.
    learning_rate : float
        Of the inner SGD, > 0.
    momentum : float
        Of the inner SGD, in [0, 1).
    keep : bool
        Keep what `pull_back` needs (parameters and activations of all T steps); evaluation does not need it.
    """

    def __init__(
        self, network: Network, steps: int, learning_rate: float, momentum: float = 0.0, keep: bool = True
    ) -> None:
        self.network, self.keep = network, keep
        self.steps, self.learning_rate, self.momentum = steps, learning_rate, momentum
        (runs, size), zeros = network.shape, network.parameters
        self._scale = 2 / (size * network.widths[-1])  # of d loss / d output
        # step t reads slot t and writes slot t + 1; without `keep` two slots take turns
        self._path = zeros(steps + 1 if keep else 2, runs)
        self._velocity = zeros(runs) if momentum else None
        activations, deltas = (self.network.units(steps if keep else 1) for _ in range(2))
        self._error = self._like_output(steps if keep else 1)
        self._slope = self._like_output()
        self._ones = torch.ones(runs, 1, size, dtype=network.dtype, device=network.device)
        # views are made once: making them takes as long as the arithmetic of a small synset
        self._points = [self._path[t] for t in range(len(self._path.weights[0]))]
        self._kept = [(activations[t], deltas[t], error) for t, error in enumerate(self._error)]
        if keep:
            self._adjoint = zeros(runs)
            self._direction = zeros(runs) if momentum else self._adjoint
            self._tangents = self.network.layers()
            self._delta_tangents = self.network.units()
            self._work = self._like_output()

    def _like_output(self, *leading: int) -> Tensor:
        shape = (*leading, *self.network.shape, self.network.widths[-1])
        zeros = torch.zeros(shape, dtype=self.network.dtype, device=self.network.device)
        return in_columns(zeros) if self.network.columns else zeros

    def train(self, parameters: Parameters, states: Tensor, actions: Tensor) -> Parameters:
        """Run the inner loop.

        Parameters
        ----------
        parameters : Parameters
            Initial parameters of R policies; not changed.
        states : Tensor of shape (R, N, S)
            Normalized states (an expanded view is fine).
        actions : Tensor of shape (R, N, A)
            Normalized actions, the targets.

        Returns
        -------
        trained : Parameters
            After T steps: a view of the buffers, valid until the next call.
        """
        self._states = states
        points = self._points
        points[0].copy_(parameters)
        if self._velocity is not None:
            for tensor in self._velocity.tensors():
                tensor.zero_()
        for step in range(self.steps):
            here, there = points[step % len(points)], points[(step + 1) % len(points)]
            self._sgd_step(here, there, states, actions, step % len(self._kept))
        return points[self.steps % len(points)]

    def _sgd_step(self, here: Parameters, there: Parameters, states: Tensor, actions: Tensor, kept: int) -> None:
        """One SGD step: read `here`, write `there`, leave activations, deltas and errors in slot `kept`."""
        activations, deltas = self._propagate(here, states, actions, kept)
        below = states
        for layer, delta in enumerate(deltas.inner):
            products = (below.mT, delta)  # (R, in, N) x (R, N, out): the gradient of the weight
            sums = (self._ones, delta)  # (R, 1, N) x (R, N, out): that of the bias
            if self._velocity is None:
                torch.baddbmm(here.weights[layer], *products, alpha=-self.learning_rate, out=there.weights[layer])
                torch.baddbmm(here.biases[layer], *sums, alpha=-self.learning_rate, out=there.biases[layer])
            else:
                weight_velocity, bias_velocity = self._velocity.weights[layer], self._velocity.biases[layer]
                weight_velocity.baddbmm_(*products, beta=self.momentum)
                bias_velocity.baddbmm_(*sums, beta=self.momentum)
                torch.add(here.weights[layer], weight_velocity, alpha=-self.learning_rate, out=there.weights[layer])
                torch.add(here.biases[layer], bias_velocity, alpha=-self.learning_rate, out=there.biases[layer])
            below = activations.outputs[layer]

    def _propagate(self, here: Parameters, states: Tensor, actions: Tensor, kept: int) -> tuple[Units, Units]:
        """Return the activations and the deltas at `here`; with the errors they stay in slot `kept`."""
        activations, deltas, error = self._kept[kept]
        output = self.network.forward(here, states, activations)
        torch.sub(output, actions, out=error)  # (R, N, A)
        self._output_slope(output)
        torch.mul(error, self._slope, out=deltas.inner[-1]).mul_(self._scale)
        self.network.backward(here, activations, deltas)
        return activations, deltas

    def _output_slope(self, output: Tensor) -> None:
        """Compute the derivative of tanh at the output, 1 - y^2."""
        torch.mul(output, output, out=self._slope)
        self._slope.neg_().add_(1)

    def pull_back(self, cotangent: Parameters) -> tuple[Tensor, Tensor]:
        """Carry a gradient at the trained parameters back to the pairs, through all T steps.

        Parameters
        ----------
        cotangent : Parameters
            d outer loss / d theta_T of the R policies of the last `train`.

        Returns
        -------
        states_gradient : Tensor of shape (R, N, S)
            d outer loss / d states, for each run on its own.
        actions_gradient : Tensor of shape (R, N, A)
            d outer loss / d actions.
        """
        states_gradient = torch.zeros_like(self._states)
        actions_gradient = self._like_output()
        self._adjoint.copy_(cotangent)
        if self.momentum:
            for tensor in self._direction.tensors():
                tensor.zero_()
        for step in range(self.steps - 1, -1, -1):
            self._turn(step)
            self._sgd_step_vjp(step, states_gradient, actions_gradient)
        return states_gradient, actions_gradient

    def _turn(self, step: int) -> None:
        """Bring the direction p, the adjoint of a step's gradient over -learning_rate, back to `step`."""
        if self.momentum:
            # the velocity's adjoint over -learning_rate: p_t = lambda_{t+1} + momentum * p_{t+1}
            for p, adjoint in zip(self._direction.tensors(), self._adjoint.tensors(), strict=True):
                p.mul_(self.momentum).add_(adjoint)

    def _sgd_step_vjp(self, step: int, states_gradient: Tensor, actions_gradient: Tensor) -> None:
        """Reverse one SGD step: the vector-Jacobian product of `_sgd_step`.

        With g the gradient of L and p the direction, adds -lr d(p.g)/d(theta, x, a) to the adjoint and to the pairs'
        gradients. Without momentum p is the adjoint itself, so a layer's is updated only after its last use.
        """
        self._tangent_forward(step, actions_gradient)
        network, rate, states, p = self.network, self.learning_rate, self._states, self._direction
        here, (activations, deltas, _) = self._points[step], self._kept[step]
        tangents, delta_tangents = self._tangents, self._delta_tangents
        for layer in range(network.depth - 1, -1, -1):  # the tangent of the backward pass
            delta, delta_tangent = deltas.inner[layer], delta_tangents.inner[layer]
            if layer:
                below = delta_tangents.outputs[layer - 1]
                torch.bmm(delta_tangent, here.weights[layer].mT, out=below)
                below.baddbmm_(delta, p.weights[layer].mT)
                network.gate(delta_tangents, activations, layer - 1)
            else:
                states_gradient.baddbmm_(delta_tangent, here.weights[0].mT, alpha=-rate)
                states_gradient.baddbmm_(delta, p.weights[0].mT, alpha=-rate)
            adjoint = self._adjoint.weights[layer]
            inputs = activations.outputs[layer - 1] if layer else states
            adjoint.baddbmm_(inputs.mT, delta_tangent, alpha=-rate)
            if layer:
                adjoint.baddbmm_(tangents[layer - 1].mT, delta, alpha=-rate)
            self._adjoint.biases[layer].baddbmm_(self._ones, delta_tangent, alpha=-rate)

    def _tangent_forward(self, step: int, actions_gradient: Tensor) -> None:
        """Fill the tangents of all outputs, and that of the last delta; add what the actions get from this step."""
        network, p = self.network, self._direction
        here, (activations, _, error) = self._points[step], self._kept[step]
        tangents, last = self._tangents, network.depth - 1
        for layer, tangent in enumerate(tangents):
            inputs = activations.outputs[layer - 1] if layer else self._states
            torch.baddbmm(p.biases[layer], inputs, p.weights[layer], out=tangent)
            if layer:
                tangent.baddbmm_(tangents[layer - 1], here.weights[layer])
            if layer < last:
                threshold_backward(tangent, activations.inner[layer], tangent)
            if source := network.sources.get(layer + 1):
                tangent += tangents[source - 1]

        # at the output y = tanh(z): y' = z' s with s = 1 - y^2, delta' = scale (y' s - 2 (y - a) y y')
        output, output_tangent, work = activations.outputs[last], tangents[last], self._work
        self._output_slope(output)
        output_tangent.mul_(self._slope)
        torch.mul(error, output, out=work).mul_(-2).add_(self._slope)
        torch.mul(output_tangent, work, out=self._delta_tangents.inner[last]).mul_(self._scale)
        actions_gradient.add_(output_tangent, alpha=self.learning_rate * self._scale)
