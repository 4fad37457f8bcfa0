"""Distillation stage: the outer loop. Also the random selection baseline, which is a synset after 0 outer steps."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from obdistill.core import artifacts, logs
from obdistill.core.checkpoints import Checkpoint, Part, sources_hash
from obdistill.core.command import FILE, checkpoint_option, device_option, out_option, stage
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS
from obdistill.core.seeding import torch_generator
from obdistill.datasets.transitions import Dataset, read_dataset
from obdistill.near_experts.networks import read_near_expert
from obdistill.policies.network import ARCHITECTURES, Network, Parameters, initialize
from obdistill.policies.precision import products, resolve
from obdistill.policies.unroll import Unroll
from obdistill.synsets.objectives import OBJECTIVES, RegressionTargets
from obdistill.synsets.settings import RANDOM, DistillSettings
from obdistill.synsets.synset import Synset, write_synset

METRICS = ["step", "loss", "gradient_norm", "learning_rate"]
SPIKE_WINDOW = 50  # outer steps whose gradient norms count as usual
CHECK_EVERY = 10  # outer steps between two looks at the loss: a look makes a GPU wait
# what the state of a distillation depends on: a checkpoint of other sources is not used
SOURCES = [
    f"obdistill.{name}" for name in ("synsets", "policies", "near_experts.networks", "core.seeding", "core.units")
]
log = logging.getLogger(__name__)


def select(dataset: Dataset, size: int, seed: int) -> Tensor:
    """Draw transitions without replacement: the random baseline and every distillation's start.

    Returns
    -------
    Tensor of shape (size,), int64
        Rows of the dataset.
    """
    total = len(dataset.transitions)
    if size > total:
        raise UserError(f"size: {size}: is more than the {total} transitions of {dataset.task.name}")
    return torch.randperm(total, generator=torch_generator(seed, "selection"))[:size]


@dataclass(frozen=True)
class OuterProblem:
    """What the outer loop looks at: normalized states (n, S) and their targets and weights."""

    states: Tensor
    columns: RegressionTargets

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw rows with replacement: states (1, size, S), targets (1, size, A), weights (1, size, 1)."""
        rows = torch.randint(len(self.states), (size,), generator=generator, pin_memory=self.states.is_cuda)
        rows = rows.to(self.states.device, non_blocking=True)
        return self.states[rows][None], self.columns.targets[rows][None], self.columns.weights[rows][None, :, None]


class MetaGradient:
    """The gradient of the outer loss with respect to the pairs, for fresh policies: ``dH(theta_T(x, a)) / d(x, a)``.

    Parameters
    ----------
    settings : DistillSettings
        Inner loop, batch size, number of initializations, precision.
    size, state_dim, action_dim : int
        N, S, A.
    dtype, device
        Of all tensors.
    """

    def __init__(
        self,
        settings: DistillSettings,
        size: int,
        state_dim: int,
        action_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        inner, outer = settings.inner, settings.outer
        self.architecture, self.runs = ARCHITECTURES[inner.architecture], outer.initializations
        self.precision = resolve(settings.precision, str(device))
        shape = (self.architecture, self.runs)
        dims = (state_dim, action_dim)
        self.unroll = Unroll(
            *shape, size, *dims, inner.steps, inner.learning_rate, inner.momentum, dtype=dtype, device=device
        )
        self.network = Network(*shape, outer.batch_size, *dims, dtype, device)
        self._work = self.network.activations(), self.network.activations()
        self._cotangent = Parameters.zeros(self.network.widths, self.runs, dtype=dtype, device=device)

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
        self.states, self.actions = (tensor.to(self.device).clone() for tensor in pairs)
        self.mean_states, self.mean_actions = self.states.clone(), self.actions.clone()
        outer, leaves = settings.outer, [self.states, self.actions]
        self.optimizer: torch.optim.Optimizer
        if outer.optimizer == "adam":
            betas = (outer.momentum, outer.second_momentum)
            self.optimizer = torch.optim.AdamW(leaves, outer.learning_rate, betas, weight_decay=outer.weight_decay)
        else:
            self.optimizer = torch.optim.SGD(
                leaves, outer.learning_rate, outer.momentum, weight_decay=outer.weight_decay
            )
        dims = self.states.shape[1], self.actions.shape[1]
        self.gradient = MetaGradient(settings, len(self.states), *dims, device=self.device)
        self.step = 0
        self.metrics = torch.zeros(settings.steps, len(METRICS), dtype=torch.float64, device=self.device)
        snapshots = len(settings.snapshot_steps())
        self.snapshot_states = torch.zeros(snapshots, *self.states.shape)
        self.snapshot_actions = torch.zeros(snapshots, *self.actions.shape)

    def learning_rate(self) -> float:
        """Return the outer learning rate of the next step."""
        outer = self.settings.outer
        factors = {
            "constant": 1.0,
            "cosine": (1 + math.cos(math.pi * self.step / self.settings.steps)) / 2,
            "inverse_sqrt": 1 / math.sqrt(1 + self.step / outer.decay_steps),
        }
        return outer.learning_rate * factors[outer.schedule]

    def advance(self) -> None:
        """Make one outer step, and keep a snapshot if one is due."""
        outer = self.settings.outer
        generator = torch_generator(self.seed, "outer", self.step)
        dims = self.states.shape[1], self.actions.shape[1]
        initial = initialize(self.gradient.architecture, *dims, outer.initializations, generator).to(self.device)
        batch = self.problem.batch(outer.batch_size, generator)
        loss, *gradients = self.gradient(initial, self.states, self.actions, batch)
        self.states.grad, self.actions.grad = gradients
        norm = torch.nn.utils.clip_grad_norm_([self.states, self.actions], outer.clip or math.inf)
        if outer.adaptive_clip and self.step >= SPIKE_WINDOW // 5:
            # an unroll that explodes says little, and would throw an adaptive optimizer off course for many steps
            usual = self.metrics[max(0, self.step - SPIKE_WINDOW) : self.step, 2].median()
            excess = (norm / (outer.adaptive_clip * usual)).clamp(min=1).float()
            for gradient in gradients:
                gradient.div_(excess.square())
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.metrics[self.step, 0], self.metrics[self.step, 3] = self.step + 1, rate
        self.metrics[self.step, 1], self.metrics[self.step, 2] = loss, norm
        self.step += 1
        # polynomial-decay averaging (Shamir and Zhang, ICML 2013): its window grows with the run, so any length will do
        newest = 1 / (1 + outer.averaging * (self.step - 1)) if outer.averaging else 1.0
        for mean, leaf in ((self.mean_states, self.states), (self.mean_actions, self.actions)):
            mean.lerp_(leaf, newest)
        if self.step in self.settings.snapshot_steps():
            index = self.settings.snapshot_steps().index(self.step)
            self.snapshot_states[index] = self.mean_states.cpu()
            self.snapshot_actions[index] = self.mean_actions.cpu()

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


def distill(
    dataset_path: Path,
    near_expert_path: Path | None,
    objective: str,
    size: int,
    seed: int,
    settings: DistillSettings,
    out: Path,
    device: str = "cpu",
    checkpoint_minutes: float = 3.0,
    variant: str = DEFAULT,
) -> None:
    """Distill a dataset into a synset and write it, with ``metrics.csv`` beside it.

    Parameters
    ----------
    dataset_path : Path
        Dataset artifact.
    near_expert_path : Path, optional
        Near-expert artifact; needed by PBC and Av-PBC.
    objective : str
        ``random``, ``dbc``, ``pbc`` or ``av_pbc``; ``random`` makes no outer step.
    size : int
        Number of pairs.
    seed : int
        Seed of the selection, the initializations and the outer batches.
    settings : DistillSettings
        The rest.
    out : Path
        Synset to write.
    device : str
        Torch device.
    checkpoint_minutes : float
        Minutes between two checkpoints of the whole state.
    variant : str
        Name of these settings, by which the synset is known.

    Raises
    ------
    UserError
        If an input is missing or does not fit, or the run diverges.
    """
    clock = artifacts.Clock()
    dataset = read_dataset(dataset_path)
    rows = select(dataset, size, seed)
    states = dataset.normalizer.states(dataset.transitions.observations[rows.numpy()])  # (size, S)
    actions = dataset.normalizer.actions(dataset.transitions.actions[rows.numpy()])  # (size, A)
    read = artifacts.inputs(dataset=dataset.artifact)
    facts: dict[str, Any] = {}
    seconds_per_step = None
    if objective == RANDOM:
        steps, kept = [0], (states[None], actions[None])
        metrics = pd.DataFrame(columns=METRICS)
    else:
        near_expert = None
        if METHODS[objective].needs_near_expert:
            if near_expert_path is None:
                raise UserError(f"--near-expert: missing; objective {objective} needs one")
            near_expert = read_near_expert(near_expert_path)
            read |= artifacts.inputs(near_expert=near_expert.artifact)
        columns = OBJECTIVES[objective](dataset, near_expert, settings.weighting)
        weights = columns.weights.double()
        facts["weights"] = {"mean": weights.mean().item(), "min": weights.min().item(), "max": weights.max().item()}
        problem = OuterProblem(
            dataset.normalizer.states(dataset.transitions.observations).to(device),
            RegressionTargets(columns.targets.to(device), columns.weights.to(device)),
        )
        start = columns.targets[rows] if settings.start == "targets" else actions
        loop = OuterLoop(settings, problem, (states, start), seed)
        facts["precision"] = loop.gradient.precision
        identity = {
            "settings": settings.model_dump(),
            "objective": objective,
            "variant": variant,
            "seed": seed,
            "size": size,
            "inputs": read,
            "versions": artifacts.versions(torch.get_num_threads()),
            "device": device,
            "precision": loop.gradient.precision,
            "sources": sources_hash(*SOURCES),
        }
        checkpoint = Checkpoint(out, identity, checkpoint_minutes)
        seconds_per_step = _run(loop, checkpoint)
        steps, kept = settings.snapshot_steps(), (loop.snapshot_states, loop.snapshot_actions)
        metrics = pd.DataFrame(loop.metrics.cpu().numpy(), columns=METRICS).astype({"step": int})
    synset = Synset(
        dataset.task,
        objective,
        variant,
        seed,
        np.array(steps, np.int64),
        dataset.normalizer.raw_states(kept[0]),
        dataset.normalizer.raw_actions(kept[1]),
        dataset.normalizer,
        seconds_per_step,
    )
    provenance = {
        "settings": settings.model_dump(),
        "inputs": read,
        "device": device,
        "threads": torch.get_num_threads(),
        "seconds": clock.seconds(),
        **facts,
    }
    artifacts.write_artifact(
        out.with_name("metrics.csv"), metrics, {"kind": "metrics", "threads": torch.get_num_threads()}
    )
    write_synset(out, synset, provenance)
    if objective != RANDOM:
        checkpoint.remove()


def _run(loop: OuterLoop, checkpoint: Checkpoint) -> float | None:
    """Advance to the last step, with progress, checkpoints and a watch on divergence; return the seconds per step."""
    checkpoint.restore(loop)
    first, started = loop.step, time.perf_counter()
    steps = loop.settings.steps
    with logs.progress(steps, "distilling", "outer step", initial=loop.step) as meter, checkpoint.guard():
        while loop.step < steps:
            loop.advance()
            meter.update()
            if loop.step % CHECK_EVERY == 0 or loop.step == steps:
                loop.check()
                _, loss, norm, rate = loop.metrics[loop.step - 1].tolist()
                meter.set_postfix_str(f"loss {loss:.4g}, gradient norm {norm:.3g}, lr {rate:.3g}", refresh=False)
            checkpoint.save_if_due(loop)
    return round((time.perf_counter() - started) / (steps - first), 4) if steps > first else None


@stage("distill", DistillSettings)
@click.option("--dataset", type=FILE, required=True, help="Dataset artifact (.npz).")
@click.option("--near-expert", type=FILE, help="Near-expert artifact (.safetensors); pbc and av_pbc need it.")
@click.option(
    "--objective", type=click.Choice([RANDOM, *OBJECTIVES]), required=True, help="Outer objective, or random."
)
@click.option("--variant", default=DEFAULT, show_default=True, help="Name of these settings, for tables.")
@click.option("--size", type=click.IntRange(min=1), default=256, show_default=True, help="Number of pairs.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Distillation seed.")
@device_option
@checkpoint_option
@out_option(".npz", "Synset to write (.npz).")
def command(
    settings: DistillSettings,
    dataset: Path,
    near_expert: Path | None,
    objective: str,
    variant: str,
    size: int,
    seed: int,
    device: str,
    checkpoint_minutes: float,
    out: Path,
) -> None:
    """Distill a dataset into a synset by one objective, or select a random synset."""
    distill(dataset, near_expert, objective, size, seed, settings, out, device, checkpoint_minutes, variant)
