"""Checks that every source of a dataset shares: what numbers are taken for must be what they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from obdistill.core.errors import UserError

Warn = Callable[[str], None]
ROUNDING = 1e-3  # how far beyond its bounds, in half ranges, an action may lie without a word
FAR = 1.0  # how far beyond its bounds, in half ranges, an action is refused
OUTLIER = 1e4  # how many times what 99 % of a column's values lie from their median makes a value implausible
JUMP = 8.0  # how many times the 90 % quantile of a step a state must move to be called a jump
SMALLEST_LIMIT = 2**30  # bytes that any dataset may unpack to
UNPACKING = 100  # times its own size that a larger one may: numbers do not pack better than that


class Unpacking:
    """Bytes that may be unpacked from files of a given size: a small file must not fill the memory.

    Parameters
    ----------
    name : str
        What messages call the files.
    packed : int
        Their size, in bytes.
    """

    def __init__(self, name: str, packed: int) -> None:
        self._name, self._packed, self._taken = name, packed, 0

    def take(self, size: int) -> None:
        """Count the bytes of an array that is to be read next.

        Raises
        ------
        UserError
            If that is over 1 GiB, and over 100 times the size of the files, together with what was read before.
        """
        self._taken += size
        if self._taken > max(SMALLEST_LIMIT, UNPACKING * self._packed):
            raise UserError(
                f"{self._name}: refused: {self._packed} bytes would unpack to {self._taken / 2**30:.1f} GiB or more; "
                f"at most 1 GiB, or {UNPACKING} times the size of the file, is allowed"
            )


def total_size(paths: list[Path]) -> int:
    """Return the bytes of some files together."""
    return sum(path.stat().st_size for path in paths)


def compare_sha256(found: str, setting: str | None, name: str) -> None:
    """Compare a checksum with the setting, if it is set.

    Raises
    ------
    UserError
        If they differ.
    """
    if setting not in (None, found):
        raise UserError(f"{name}: has the sha256 {found}; the setting sha256 is {setting}")


def flags(values: np.ndarray, name: str) -> np.ndarray:
    """Return flags as booleans of the same shape.

    Raises
    ------
    UserError
        If a value is neither 0 nor 1.
    """
    if values.dtype == bool:
        return values
    bad = np.flatnonzero((values != 0) & (values != 1))
    if len(bad):
        raise UserError(
            f"{name}: {len(bad)} of {values.size} values are neither 0 nor 1, the first is "
            f"{values.reshape(-1)[bad[0]]:g} at row {bad[0]}"
        )
    return values.astype(bool)


def fit_actions(
    actions: np.ndarray, low: np.ndarray, high: np.ndarray, clip: bool, env_id: str, warn: Warn
) -> np.ndarray:
    """Check that actions lie within an environment's bounds and look as if they were recorded with these.

    Parameters
    ----------
    actions : ndarray of shape (N, action_dim)
        Finite raw actions.
    low, high : ndarray of shape (action_dim,)
        Finite bounds.
    clip : bool
        Whether to cut actions to the bounds.
    env_id : str
        The environment, for messages.
    warn : callable
        Takes each warning.

    Returns
    -------
    ndarray of shape (N, action_dim)
        The actions, cut to the bounds if `clip` is true.

    Raises
    ------
    UserError
        If an action lies farther outside than half the range, and `clip` is false.
    """
    center, half = (high + low) / 2, (high - low) / 2
    beyond = np.abs(actions - center) / half - 1  # in half ranges; positive outside
    outside = int((beyond > ROUNDING).any(1).sum())
    found = f"actions range from {actions.min():.4g} to {actions.max():.4g}"
    bounds = f"{env_id} takes {low.min():.4g} to {high.max():.4g}"
    if outside and clip:
        warn(f"{found}, {bounds}: those of {outside} of {len(actions)} transitions are cut to these bounds")
    elif outside:
        text = f"{found}, {bounds}: those of {outside} of {len(actions)} transitions lie outside"
        if beyond.max() > FAR:
            raise UserError(f"{text}; set clip_actions to true if the environment that recorded them cut them itself")
        warn(text)
    elif _fits_other_bounds(actions, low, high):
        warn(f"{found}, {bounds}: they may have been recorded with other bounds, or scaled")
    return np.clip(actions, low, high) if clip else actions


def _fits_other_bounds(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Tell whether actions within the bounds use no more than half of them, or are those of [-1, 1]."""
    span = (actions.max(0) - actions.min(0)) / (high - low)
    is_unit = np.allclose([actions.min(), actions.max()], [-1, 1], atol=ROUNDING)
    has_unit = bool((low == -1).any() and (high == 1).any())
    return bool((span <= 0.5 + ROUNDING).all()) or (is_unit and not has_unit)


def warn_of_outliers(values: np.ndarray, name: str, warn: Warn) -> None:
    """Warn of values so far from all others that they must be damage: a flipped bit of an exponent.

    Parameters
    ----------
    values : ndarray of shape (N,) or (N, columns)
        Finite numbers.
    name : str
        What they are, for the message.
    warn : callable
        Takes the warning.
    """
    columns = values.reshape(len(values), -1).astype(np.float64)
    distance = np.abs(columns - np.median(columns, axis=0))
    usual = np.maximum(np.quantile(distance, 0.99, axis=0, method="lower"), 1e-3)  # most may be one and the same
    rows = np.flatnonzero((distance > OUTLIER * usual).any(1))
    if len(rows):
        warn(
            f"{name}: {len(rows)} of {len(values)} rows lie far from all others, first {rows[0]}: is the file damaged?"
        )


def jumps(observations: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the rows after which the state jumps though no episode ends: an end that nothing marks.

    A jump moves some dimension by more than 8 times what 90 % of all steps move it at most (and by more than 0.4
    standard deviations, for states that hardly move). Within episodes of Gymnasium's robots the largest steps are 2 to
    6 times as long (Ant: 9); at most resets, 4 to 30 times.

    Parameters
    ----------
    observations : ndarray of shape (N, state_dim)
        States, one row per step.
    ends : ndarray of shape (N,), bool
        Rows that end an episode.
    """
    moves = np.abs(np.diff(observations, axis=0))
    usual = np.maximum(np.quantile(moves, 0.9, axis=0), 0.05 * observations.std(0))
    return np.flatnonzero((moves > JUMP * usual).any(1) & ~ends[:-1])


def warn_of_ends(
    observations: np.ndarray,
    following: np.ndarray | None,
    terminal: np.ndarray,
    timeout: np.ndarray,
    known: bool,
    max_steps: int,
    warn: Warn,
) -> None:
    """Warn of episodes that seem to end where no flag says so, and of lengths that do not fit the time limit.

    Parameters
    ----------
    observations, following : ndarray of shape (N, state_dim)
        States before and, if the file has them, after the action, one row per step.
    terminal, timeout : ndarray of shape (N,), bool
        Rows at which an episode ended in a terminal state, or was cut.
    known : bool
        Whether the file has `timeout`; else an end may be unmarked.
    max_steps : int
        Time limit of the environment, in steps.
    warn : callable
        Takes each warning.
    """
    ends = terminal | timeout
    unmarked = np.zeros(0, np.int64)
    if following is not None and following.shape == observations.shape:
        leads_on = np.isclose(observations[1:], following[:-1], rtol=1e-4, atol=1e-4).all(1)
        unmarked = np.flatnonzero(~leads_on & ~ends[:-1])
        text = "the next row is not where next_observations says the step led"
    elif not (known and timeout.any()):  # flags that are never set tell no more than none
        unmarked = jumps(observations, ends)
        text = f"the state jumps, and {'no timeout is set' if known else 'the file has no timeouts'}"
    if len(unmarked):
        warn(f"after {len(unmarked)} of {len(ends)} rows, first {unmarked[0]}, {text}: an episode may end there")
    starts = np.append(np.flatnonzero(np.append(True, ends[:-1])), len(ends))
    lengths = np.diff(starts)
    cut = (timeout & ~terminal)[starts[1:] - 1]
    early = int((cut & (lengths < max_steps)).sum())
    if early > 0.05 * cut.sum():  # a recording may be cut now and then
        warn(f"{early} of {int(cut.sum())} timeouts come before the environment's time limit of {max_steps} steps")
    if longer := int((lengths > max_steps).sum()):
        warn(f"{longer} of {len(lengths)} episodes are longer than the environment's time limit of {max_steps} steps")
