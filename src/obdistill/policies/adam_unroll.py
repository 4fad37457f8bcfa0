"""The inner loop by Adam instead of SGD, and the exact gradient of what comes out of it with respect to the pairs.

A step t = 1, 2, ... updates every parameter by

    m_t = b1 m_{t-1} + (1 - b1) g_t,   v_t = b2 v_{t-1} + (1 - b2) g_t^2,
    theta_t = theta_{t-1} - lr (m_t / c1) / (r_t + eps),   r_t = sqrt(v_t / c2),   c1 = 1 - b1^t,   c2 = 1 - b2^t,

as `torch.optim.Adam` does. The adjoint of the gradient follows from those of m and v; from there on the reverse pass is
that of `Unroll`. A large eps keeps it calm: gradients below it make steps in proportion, not of their sign.
"""

import torch
from torch import Tensor

from obdistill.policies.network import Network, Parameters
from obdistill.policies.unroll import Unroll

BETAS = 0.9, 0.999  # b1 and b2: torch's


class AdamUnroll(Unroll):
    """T inner steps of Adam with all buffers allocated once; `train` and `pull_back` as in `Unroll`.

    Parameters
    ----------
    network : Network
        As for `Unroll`.
    steps : int
        T, >= 1.
    learning_rate : float
        Of Adam, > 0.
    epsilon : float
        Adam's eps, > 0.
    """

    def __init__(self, network: Network, steps: int, learning_rate: float, epsilon: float) -> None:
        super().__init__(network, steps, learning_rate, BETAS[0])
        self.epsilon = epsilon
        runs = network.shape[0]
        like = [network.parameters(steps, runs) for _ in range(3)]
        self._gradients, self._first, self._second = ([p[t].tensors() for t in range(steps)] for p in like)
        self._first_adjoint, self._second_adjoint = (network.parameters(runs).tensors() for _ in range(2))
        self._roots, self._quotients = (network.parameters(runs).tensors() for _ in range(2))

    def _sgd_step(self, here: Parameters, there: Parameters, states: Tensor, actions: Tensor, kept: int) -> None:
        """One step of Adam: read `here`, write `there`; slot `kept` is the step."""
        activations, deltas = self._propagate(here, states, actions, kept)
        gradients, below = self._gradients[kept], states
        for layer, delta in enumerate(deltas.inner):
            torch.bmm(below.mT, delta, out=gradients[layer])
            torch.bmm(self._ones, delta, out=gradients[self.network.depth + layer])
            below = activations.outputs[layer]
        c1, c2 = (1 - beta ** (kept + 1) for beta in BETAS)
        for i, (old, new, g) in enumerate(zip(here.tensors(), there.tensors(), gradients, strict=True)):
            m, v, root = self._first[kept][i], self._second[kept][i], self._roots[i]
            if kept:
                torch.lerp(self._first[kept - 1][i], g, 1 - BETAS[0], out=m)
                torch.mul(self._second[kept - 1][i], BETAS[1], out=v).addcmul_(g, g, value=1 - BETAS[1])
            else:
                torch.mul(g, 1 - BETAS[0], out=m)
                torch.mul(g, g, out=v).mul_(1 - BETAS[1])
            torch.sqrt(v, out=root).mul_(c2**-0.5).add_(self.epsilon)
            torch.addcdiv(old, m, root, value=-self.learning_rate / c1, out=new)

    def pull_back(self, cotangent: Parameters) -> tuple[Tensor, Tensor]:
        """Carry a gradient at the trained parameters back to the pairs; see `Unroll.pull_back`."""
        for tensor in (*self._first_adjoint, *self._second_adjoint):
            tensor.zero_()
        return super().pull_back(cotangent)

    def _turn(self, step: int) -> None:
        """Bring p, the adjoint of the gradient over -learning_rate, back to `step`, by those of m and v."""
        c1, c2 = (1 - beta ** (step + 1) for beta in BETAS)
        for i, (p, adjoint) in enumerate(zip(self._direction.tensors(), self._adjoint.tensors(), strict=True)):
            m, v, g = self._first[step][i], self._second[step][i], self._gradients[step][i]
            of_m, of_v, root, quotient = (
                tensors[i] for tensors in (self._first_adjoint, self._second_adjoint, self._roots, self._quotients)
            )
            torch.sqrt(v, out=root).mul_(c2**-0.5)  # r
            torch.add(root, self.epsilon, out=p)  # p is work space until its own line
            torch.div(adjoint, p, out=quotient)
            of_m.add_(quotient, alpha=1 / c1)
            # d(1 / (r + eps)) / dv = -1 / (2 c2 r (r + eps)^2); a unit that is off has m = v = 0 and gets nothing
            quotient.div_(p).mul_(m).div_(root.clamp_(min=torch.finfo(root.dtype).tiny))
            of_v.add_(quotient, alpha=-1 / (2 * c1 * c2))
            torch.mul(of_m, 1 - BETAS[0], out=p).addcmul_(g, of_v, value=2 * (1 - BETAS[1]))
            of_m.mul_(BETAS[0])
            of_v.mul_(BETAS[1])
