"""Trained policies as one function of raw observations, whose actions do not depend on what else is computed."""

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from torch.nn.functional import pad

from obdistill.core.units import Normalizer
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Network, Parameters

# Policies act on blocks of these numbers of states and actions: at the edges of other sizes other kernels compute, and
# the last bit of an action would depend on the number of states and on its place among them (seen with MKL on AVX2).
BLOCK_OF_STATES, BLOCK_OF_ACTIONS = 4, 16


@dataclass(frozen=True)
class TrainedPolicies:
    """R trained policies as one function of raw observations, each for itself or all as one ensemble.

    Attributes
    ----------
    parameters : Parameters
        Of the policies.
    architecture : str
        Their form.
    normalizer : Normalizer
        Their units.
    ensemble : bool
        Act by the mean of all R actions, before the environment's bounds cut anything off.
    """

    parameters: Parameters
    architecture: str
    normalizer: Normalizer
    ensemble: bool = False

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Act: raw observations (R, n, state_dim) -> raw actions (R, n, action_dim); both have R = 1 for an ensemble.

        The action for a row has the same bits whatever the other rows are and however many.
        """
        parameters, action_dim = self._filled, self.parameters.biases[-1].shape[-1]
        members, _, outputs = parameters.biases[-1].shape
        states = self.normalizer.states(observations)
        _, n, state_dim = states.shape
        states = pad(states, (0, 0, 0, -n % BLOCK_OF_STATES)).expand(members, -1, -1)  # (members, n + fill, S)
        network = Network(ARCHITECTURES[self.architecture], members, states.shape[1], state_dim, outputs)
        actions = network.forward(parameters, states, network.units())[:, :n, :action_dim]
        return self.normalizer.raw_actions(actions.mean(0, keepdim=True) if self.ensemble else actions)

    @functools.cached_property
    def _filled(self) -> Parameters:
        """The parameters with outputs that nobody reads, up to a multiple of BLOCK_OF_ACTIONS."""
        fill = (0, -self.parameters.biases[-1].shape[-1] % BLOCK_OF_ACTIONS)
        return Parameters(
            [*self.parameters.weights[:-1], pad(self.parameters.weights[-1], fill)],
            [*self.parameters.biases[:-1], pad(self.parameters.biases[-1], fill)],
        )

    def __getitem__(self, rows: slice) -> "TrainedPolicies":
        """Return some of the policies; an ensemble is one."""
        return self if self.ensemble else dataclasses.replace(self, parameters=self.parameters[rows])
