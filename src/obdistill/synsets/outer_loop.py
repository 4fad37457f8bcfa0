"""The outer loop: descent on the pairs of a synset, through the training of fresh policies on them."""

import contextlib
import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from obdistill.core import logs
from obdistill.core.checkpoints import Checkpoint, Part
from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.policies.adam_unroll import AdamUnroll
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Network, Parameters, orthogonal_policies
from obdistill.policies.optimizers import cosine, make_optimizer, scale_learning_rate
from obdistill.policies.precision import products, resolve
from obdistill.policies.unroll import Unroll
from obdistill.synsets.objectives import RegressionTargets
from obdistill.synsets.ridge_gradient import Gradient, RidgeGradient
from obdistill.synsets.settings import DistillSettings

METRICS = ["step", "loss", "gradient_norm", "learning_rate"]
MEDIAN_WINDOW = 50  # outer steps whose gradient norms `adaptive_clip` takes the median of
CHECK_EVERY = 10  # outer steps between two looks at the loss: a look makes a GPU wait
Progress = Callable[[int, float], object]  # is called with the steps done and the loss of the last of them


def snapshot_steps(settings: DistillSettings) -> list[int]:
    """Return the outer steps after which a snapshot is kept, the last included."""
    return sorted({*range(settings.snapshot_every, settings.steps + 1, settings.snapshot_every), settings.steps})


@dataclass(frozen=True)
class OuterProblem:
    """The weighted regression that trained policies are judged by, over normalized states (n, S)."""

    states: Tensor
    regression: RegressionTargets

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw rows with replacement: states (1, size, S), targets (1, size, A), weights (1, size, 1)."""
        rows = torch.randint(len(self.states), (size,), generator=generator, pin_memory=self.states.is_cuda)
        rows = rows.to(self.states.device, non_blocking=True)
        targets, weights = self.regression.targets[rows], self.regression.weights[rows]
        return self.states[rows][None], targets[None], weights[None, :, None]


class MetaGradient:
    """The gradient of the outer loss with respect to the pairs, for fresh policies: ``dH(theta_T(x, a)) / d(x, a)``.

    Parameters
    ----------
    settings : DistillSettings
        Inner loop, batch size, number of initializations, precision.
    size : int
        N.
    dims : tuple of int
        S and A.
    dtype, device
        Of all tensors.
    """

    def __init__(
        self,
        settings: DistillSettings,
        size: int,
        dims: tuple[int, int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        inner, outer = settings.inner, settings.outer
        self.architecture, self.runs = ARCHITECTURES[inner.architecture], outer.initializations
        self.zero_output, self.device = inner.output_start == "zero", torch.device(device)
        self.precision = resolve(settings.precision, str(device))
        adam = inner.optimizer == "adam"
        on_pairs, self.network = (
            Network(self.architecture, self.runs, n, *dims, dtype, device, columns=adam)
            for n in (size, outer.batch_size)
        )
        self.unroll = (
            AdamUnroll(on_pairs, inner.steps, inner.learning_rate, inner.epsilon)
            if adam
            else Unroll(on_pairs, inner.steps, inner.learning_rate, inner.momentum)
        )
        self._work = self.network.units(), self.network.units()
        self._cotangent = self.network.parameters(self.runs)

    def fresh(self, dims: tuple[int, int], generator: torch.Generator) -> Gradient:
        """Draw R fresh policies; returns the gradient through their training."""
        initial = orthogonal_policies(self.architecture, *dims, self.runs, generator, self.zero_output)
        return functools.partial(self, initial.to(self.device))

    def to_leaf(self, actions: Tensor) -> Tensor:
        """Return what the outer loop varies: the actions as they are, which may leave [-1, 1]."""
        return actions

    def from_leaf(self, actions: Tensor) -> Tensor:
        """Return normalized actions."""
        return actions

    def __call__(
        self, initial: Parameters, states: Tensor, actions: Tensor, batch: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Unroll and pull back.

        Parameters
        ----------
        initial : Parameters
            R fresh policies.
        states, actions : Tensor of shape (N, S) and (N, A)
            The synset, in normalized units.
        batch : tuple of Tensor
            States (1, B, S), targets (1, B, A) and weights (1, B, 1) of the outer loss.

        Returns
        -------
        loss : Tensor of shape ()
            Outer loss, averaged over the R policies.
        states_gradient, actions_gradient : Tensor of shape (N, S) and (N, A)
            Its gradient.
        """
        outer_states, targets, weights = (tensor.expand(self.runs, -1, -1) for tensor in batch)
        with products(self.precision):
            trained = self.unroll.train(
                initial, states.expand(self.runs, -1, -1).contiguous(), actions.expand(self.runs, -1, -1)
            )
            loss = self.network.regression_gradient(
                trained, outer_states, targets, weights, *self._work, out=self._cotangent
            )
            states_gradient, actions_gradient = self.unroll.pull_back(self._cotangent)
        return loss.mean(), states_gradient.mean(0), actions_gradient.mean(0)


class OuterLoop:
    """The state of a distillation between two outer steps; it can be saved and restored.

    Each step's randomness comes from the seed and the step's number alone, so a resumed run equals a straight one.
    """

    def __init__(
        self, settings: DistillSettings, problem: OuterProblem, pairs: tuple[Tensor, Tensor], seed: int
    ) -> None:
        self.settings, self.problem, self.seed = settings, problem, seed
        self.device = problem.states.device
        dims = pairs[0].shape[1], pairs[1].shape[1]
        self.gradient: MetaGradient | RidgeGradient = (
            RidgeGradient(settings, device=self.device)
            if settings.inner.optimizer == "ridge"
            else MetaGradient(settings, len(pairs[0]), dims, device=self.device)
        )
        self.states, self.actions = (
            pairs[0].to(self.device).clone(),
            self.gradient.to_leaf(pairs[1].to(self.device)).clone(),
        )
        self.mean_states, self.mean_actions = self.states.clone(), self.actions.clone()
        outer, leaves = settings.outer, [self.states, self.actions]
        self.optimizer = make_optimizer(
            "adamw" if outer.optimizer == "adam" else "sgd",
            leaves,
            outer.learning_rate,
            momentum=outer.momentum,
            betas=(outer.momentum, outer.second_momentum),
            weight_decay=outer.weight_decay,
        )
        self.step = 0
        self.metrics = torch.zeros(settings.steps, len(METRICS), dtype=torch.float64, device=self.device)
        snapshots = len(snapshot_steps(settings))
        self.snapshot_states = torch.zeros(snapshots, *self.states.shape)
        self.snapshot_actions = torch.zeros(snapshots, *self.actions.shape)

    def advance(self) -> None:
        """Make one outer step, and keep a snapshot if one is due."""
        outer = self.settings.outer
        generator = torch_generator(self.seed, "outer", self.step)
        dims = self.states.shape[1], self.actions.shape[1]
        through = self.gradient.fresh(dims, generator)
        batch = self.problem.batch(outer.batch_size, generator)
        loss, *gradients = through(self.states, self.actions, batch)
        self.states.grad, self.actions.grad = gradients
        norm = torch.nn.utils.clip_grad_norm_([self.states, self.actions], outer.clip or math.inf)
        self._clip_adaptively(norm)
        rate = scale_learning_rate(self.optimizer, self._schedule())
        self.optimizer.step()
        self.metrics[self.step, 0], self.metrics[self.step, 3] = self.step + 1, rate
        self.metrics[self.step, 1], self.metrics[self.step, 2] = loss, norm
        self.step += 1
        self._average()
        if self.step in (kept := snapshot_steps(self.settings)):
            index = kept.index(self.step)
            self.snapshot_states[index] = self.mean_states.cpu()
            self.snapshot_actions[index] = self.gradient.from_leaf(self.mean_actions).cpu()

    def _schedule(self) -> float:
        """Return the factor of the learning rate at the next step."""
        outer = self.settings.outer
        warmup = min(1.0, (self.step + 1) / outer.warmup_steps) if outer.warmup_steps else 1.0
        match outer.schedule:
            case "constant":
                return warmup
            case "cosine":
                return warmup * cosine(self.step, self.settings.steps)
            case "inverse_sqrt":
                return warmup / math.sqrt(1 + self.step / outer.decay_steps)

    def _clip_adaptively(self, norm: Tensor) -> None:
        """Scale a gradient of norm g > k m, m the median of the last 50 norms, by (k m / g)^2.

        An unroll that explodes says little, and would throw an adaptive optimizer off course for many steps.
        """
        factor = self.settings.outer.adaptive_clip
        if factor is None or self.step < MEDIAN_WINDOW // 5:
            return
        limit = factor * self.metrics[max(0, self.step - MEDIAN_WINDOW) : self.step, 2].median()
        # batches without any weight have no gradient; where most are such, 0 is no limit
        excess = torch.where(limit > 0, norm / limit, 1.0).clamp(min=1).float()
        for tensor in (self.states, self.actions):
            assert tensor.grad is not None
            tensor.grad.div_(excess.square())

    def _average(self) -> None:
        """Update the iterate average by polynomial decay (Shamir & Zhang 2013), which fits runs of any length.

        A snapshot is about the mean of the last `averaging` fraction of the iterates.
        """
        fraction = self.settings.outer.averaging
        newest = 1 / (1 + fraction * (self.step - 1)) if fraction else 1.0
        for mean, leaf in ((self.mean_states, self.states), (self.mean_actions, self.actions)):
            mean.lerp_(leaf, newest)

    def check(self) -> None:
        """Stop a diverged run.

        Raises
        ------
        UserError
            If the loss or the gradient of a step is not finite, naming the step.
        """
        done = self.metrics[: self.step, 1:3].cpu()
        bad = (~done.isfinite()).any(1)
        if bad.any():
            step = int(bad.nonzero()[0]) + 1
            raise UserError(
                f"outer step {step}: the distillation diverged (loss {done[step - 1, 0]:.3g}, gradient norm "
                f"{done[step - 1, 1]:.3g}); lower outer.learning_rate (now {self.settings.outer.learning_rate}) or set "
                f"outer.clip (now {self.settings.outer.clip})"
            )

    def parts(self) -> dict[str, Part]:
        """Return what the next step depends on, for checkpoints."""
        return {
            "states": self.states,
            "actions": self.actions,
            "mean_states": self.mean_states,
            "mean_actions": self.mean_actions,
            "metrics": self.metrics,
            "snapshot_states": self.snapshot_states,
            "snapshot_actions": self.snapshot_actions,
            "optimizer": self.optimizer,
        }


def run(loop: OuterLoop, checkpoint: Checkpoint | None = None, progress: Progress | None = None) -> float | None:
    """Advance to the last step, with progress, checkpoints and a watch on divergence; return the seconds per step."""
    if checkpoint is not None:
        checkpoint.restore(loop)
    guard = contextlib.nullcontext() if checkpoint is None else checkpoint.guard()
    first, started = loop.step, time.perf_counter()
    steps = loop.settings.steps
    with logs.progress(steps, "distilling", "outer step", initial=loop.step) as meter, guard:
        while loop.step < steps:
            loop.advance()
            meter.update()
            if loop.step % CHECK_EVERY == 0 or loop.step == steps:
                loop.check()
                _, loss, norm, rate = loop.metrics[loop.step - 1].tolist()
                meter.set_postfix_str(f"loss {loss:.4g}, gradient norm {norm:.3g}, lr {rate:.3g}", refresh=False)
                if progress is not None:
                    progress(loop.step, loss)
            if checkpoint is not None:
                checkpoint.save_if_due(loop)
    return round((time.perf_counter() - started) / (steps - first), 4) if steps > first else None
