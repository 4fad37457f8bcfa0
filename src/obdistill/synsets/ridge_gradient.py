"""The gradient of the outer loss through policies of random features (`policies.random_features`), in closed form.

The loss is the one expected of fresh policies of H hidden units. With infinitely many units there is one policy f, a
kernel regression of the pairs. That of H units scatters about it; to the first order in 1 / H, by the variance

    v(s) = 1/H mean_w [ (phi_w(s) - k(s)' K^-1 phi_w(S))^2 (alpha' phi_w(S))^2 ],  alpha = K^-1 arctanh(a),

over random units w: the part of a unit that the pairs' units do not explain, times what the regression makes of it.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from obdistill.core.errors import UserError
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.random_features import LARGEST_SUM, features, fresh_layers, sums_of, wide_kernel, with_ridge
from obdistill.synsets.settings import DistillSettings

UNITS = 512  # drawn at each outer step for the mean over w, for each of `outer.initializations`
# of the states, the actions as a leaf and a batch: loss, and its gradients with respect to the first two
Gradient = Callable[[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]], tuple[Tensor, Tensor, Tensor]]


class RidgeGradient:
    """The gradient of the expected outer loss with respect to the pairs; a drop-in for `outer_loop.MetaGradient`.

    Parameters
    ----------
    settings : DistillSettings
        Inner loop, number of initializations.
    dtype, device
        Of all tensors.
    """

    precision = "float32"

    def __init__(
        self, settings: DistillSettings, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> None:
        self.ridge = settings.inner.ridge
        (self.width,) = ARCHITECTURES[settings.inner.architecture].hidden_widths
        self.units = UNITS * settings.outer.initializations
        self.dtype, self.device = dtype, device

    def fresh(self, dims: tuple[int, int], generator: torch.Generator) -> Gradient:
        """Draw random units; returns the gradient with the mean over them."""
        return functools.partial(self, fresh_layers(dims[0], self.units, 1, generator)[0].to(self.device, self.dtype))

    def to_leaf(self, actions: Tensor) -> Tensor:
        """Return what the outer loop varies: sums before the tanh."""
        return sums_of(actions)

    def from_leaf(self, sums: Tensor) -> Tensor:
        """Return the normalized actions of sums."""
        return sums.clamp(-LARGEST_SUM, LARGEST_SUM).tanh()

    def __call__(
        self, units: Tensor, states: Tensor, sums: Tensor, batch: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute loss and gradient.

        Parameters
        ----------
        units : Tensor of shape (S + 1, M)
            Random units, from `fresh_layers`.
        states, sums : Tensor of shape (N, S) and (N, A)
            The synset, in normalized units; actions as `to_leaf` has them.
        batch : tuple of Tensor
            States (1, B, S), targets (1, B, A) and weights (1, B, 1) of the outer loss.

        Returns
        -------
        loss : Tensor of shape ()
            Expected outer loss.
        states_gradient, sums_gradient : Tensor of shape (N, S) and (N, A)
            Its gradient.
        """
        outer_states, targets, weights = (tensor[0] for tensor in batch)
        states, sums = states.detach().requires_grad_(), sums.detach().requires_grad_()
        output, variance = self.predict(states, sums, units, outer_states)  # (B, A) each
        slope = 1 - output * output
        loss = (weights * ((output - targets).square() + slope.square() * variance)).mean()
        states_gradient, sums_gradient = torch.autograd.grad(loss, (states, sums))
        return loss.detach(), states_gradient, sums_gradient

    def predict(self, states: Tensor, sums: Tensor, units: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return the action of an infinitely wide policy, and the variance of its sum over those of H units.

        Raises
        ------
        UserError
            If the ridge is too small for the pairs in the tensors' precision.
        """
        limited = sums.clamp(-LARGEST_SUM, LARGEST_SUM)
        of_pairs, of_states = features(states, units), features(at, units)  # (N, M), (B, M)
        kernel = with_ridge(wide_kernel(states, states), self.ridge)
        factor, failed = torch.linalg.cholesky_ex(kernel)
        if failed and kernel.isfinite().all():  # a run that diverged is the outer loop's to stop
            raise UserError(
                f"inner.ridge: {self.ridge}: too small for these pairs in {self.precision}; take 1e-6 or more"
            )
        solved = torch.cholesky_solve(torch.cat([of_pairs, limited], 1), factor)  # (N, M + A)
        explained, found = (wide_kernel(at, states) @ solved).split(
            [units.shape[1], sums.shape[1]], 1
        )  # (B, M), (B, A)
        alpha = solved[:, units.shape[1] :]  # (N, A)
        products = (of_states - explained).square() @ (of_pairs.T @ alpha).square()  # (B, A)
        return found.tanh(), products / (units.shape[1] * self.width)
