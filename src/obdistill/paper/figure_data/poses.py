"""What pairs look like: the robot in a state of a synset, and after one environment step under the action beside it."""

import base64
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pandas as pd
from gymnasium.envs.mujoco import MujocoEnv

from obdistill.core import environments
from obdistill.core.errors import UserError
from obdistill.paper import names
from obdistill.paper.settings import FigureSettings
from obdistill.synsets.synset import Synset, read_pairs
from obdistill.videos.cameras import gl_library, open_environment
from obdistill.videos.outlines import CannotBeDrawn, Outline, outlines, side_view, upright

log = logging.getLogger(__name__)
UNSTABLE = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
PIXELS = (240, 240)  # of a rendered picture
OUTLINED = {"ghost": ", with the state's outline in gray", "drawn": "Outlines are computed from MuJoCo's kinematics."}
RENDERED = {"ghost": "", "drawn": "Rendered by MuJoCo; the camera goes with the robot."}


@dataclass(frozen=True)
class Scene:
    """A pair: the robot in the state, and one environment step later (nothing if the simulation broke down).

    Attributes
    ----------
    state, following : list of Outline
        Then and later.
    positions : dict
        MuJoCo's ``qpos`` by moment, ``state`` and ``next``.
    """

    state: list[Outline]
    following: list[Outline]
    positions: dict[str, np.ndarray]


@dataclass(frozen=True)
class Example:
    """Some pairs of a synset's last snapshot.

    Attributes
    ----------
    synset : Synset
        Where they are from.
    chosen : ndarray of shape (n,), int64
        Which pairs of it.
    scenes : list of Scene
        One per chosen pair.
    seconds : float
        Simulated time of one environment step.
    upright : bool
        Whether up is the world's up (seen from the side) or not (seen from above).
    """

    synset: Synset
    chosen: np.ndarray
    scenes: list[Scene]
    seconds: float
    upright: bool


def read_examples(
    paths: Iterable[Path], pairs: int, method: str | None = None, size: int | None = None
) -> tuple[list[Example], list[str], list[dict[str, Any]]]:
    """Read synsets and set some pairs of each in scene, as far as their environments can be drawn.

    Parameters
    ----------
    paths : iterable of Path
        Synsets, after the choices below one per task.
    pairs : int
        Pairs to show of each.
    method, size : optional
        Keep the synsets of this method and of this size only.

    Returns
    -------
    examples : list of Example
        In the order of names.
    left_out : list of str
        Why a task is not among them.
    inputs : list of dict
        Name and sha256 of every file shown.

    Raises
    ------
    UserError
        If nothing is left after the choices, or two synsets are about one task.
    """
    by_task: dict[str, tuple[Path, Synset]] = {}
    given = list(paths)
    for path in given:
        synset = read_pairs(path)
        if method not in (None, synset.method) or size not in (None, synset.actions.shape[1]):
            continue
        other, _ = by_task.setdefault(synset.task.name, (path, synset))
        if other != path:
            raise UserError(f"{path}: task {synset.task.name!r} is also that of {other}; give one synset per task")
    if not by_task:
        raise UserError(f"{given[0]}: no synset in the files given has method {method} and {size} pairs")
    tasks = sorted(by_task, key=names.task_position)
    shown = [by_task[task] for task in tasks]
    inputs = [{"file": str(path), "sha256": synset.artifact.sha256} for path, synset in shown if synset.artifact]
    examples, left_out = [], []
    for _, synset in shown:
        try:
            examples.append(example(synset, pairs))
        except CannotBeDrawn as error:
            left_out.append(f"Without {synset.task.name}: {error}.")
            log.warning("figure_2 is without %s: %s", synset.task.name, error)
    return examples, left_out, inputs


def outlines_table(examples: Iterable[Example]) -> pd.DataFrame:
    """Put the outlines of all scenes into one table, one row per corner.

    Returns
    -------
    DataFrame
        task, method, variant; pair, its place in the order of choice; moment, ``state`` or ``next``; part and shade of
        the outline; x, y in meters; upright. A pair without ``next`` broke the simulation down.
    """
    rows = [
        (*about, pair, moment, part, outline.shade, x, y, example.upright)
        for example in examples
        for about in [(example.synset.task.name, example.synset.method, example.synset.variant)]
        for pair, scene in enumerate(example.scenes)
        for moment, parts in (("state", scene.state), ("next", scene.following))
        for part, outline in enumerate(parts)
        for x, y in outline.points.tolist()
    ]
    columns = ["task", "method", "variant", "pair", "moment", "part", "shade", "x", "y", "upright"]
    return pd.DataFrame(rows, columns=columns)


def pictures_table(examples: Iterable[Example]) -> pd.DataFrame:
    """Render all scenes and put them into one table, one row per picture.

    Returns
    -------
    DataFrame
        task, method, variant, pair and moment as in `outlines_table`; picture, a PNG in base64.

    Raises
    ------
    UserError
        If nothing renders here.
    """
    rows = []
    for example in examples:
        task, method, variant = example.synset.task, example.synset.method, example.synset.variant
        env, camera = open_environment(task.env_id, PIXELS, (0, 0, 0), "mujoco")
        env.reset(seed=0)
        for pair, scene in enumerate(example.scenes):
            for moment, qpos in scene.positions.items():
                env.unwrapped.set_state(qpos, np.zeros(env.unwrapped.model.nv))  # type: ignore[attr-defined]
                file = io.BytesIO()
                camera().save(file, "PNG")
                picture = base64.b64encode(file.getvalue()).decode()
                rows.append((task.name, method, variant, pair, moment, picture))
        env.close()
    return pd.DataFrame(rows, columns=["task", "method", "variant", "pair", "moment", "picture"])


def poses(paths: Sequence[Path], settings: FigureSettings) -> tuple[pd.DataFrame, dict[str, str], list[dict[str, Any]]]:
    """Make what figure 2 is drawn from: outlines or pictures of pairs of each synset, facts for the caption, inputs."""
    examples, left_out, inputs = read_examples(paths, settings.poses, settings.method, settings.size)
    synsets = [example.synset for example in examples]
    rows = dict.fromkeys((names.row_label((synset.method, synset.variant)), synset.seed) for synset in synsets)
    facts = {
        "method": ", ".join(f"{label}, seed {seed}" for label, seed in rows) or names.span([]),
        "size": names.span(synset.actions.shape[1] for synset in synsets),
        "step": names.span(int(synset.steps[-1]) for synset in synsets),
        "seconds": names.span(example.seconds for example in examples),
        "left_out": " ".join(left_out),
    }
    if settings.rendering == "mujoco" or (settings.rendering == "auto" and gl_library()):
        return pictures_table(examples), facts | RENDERED, inputs
    return outlines_table(examples), facts | OUTLINED, inputs


def example(synset: Synset, pairs: int) -> Example:
    """Choose pairs of a synset's last snapshot and set them in scene; see `spread_out` and `scene`."""
    env, skipped = _environment(synset.task.env_id)
    states, actions = synset.observations[-1], synset.actions[-1]
    chosen = spread_out(synset.normalizer.states(states).numpy(), pairs)
    along = side_view(env)
    scenes = [scene(env, skipped, along, states[i], actions[i]) for i in chosen]
    return Example(synset, chosen, scenes, float(env.dt), upright(along))


def spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """Choose points that cover the rest: the one nearest the mean, then always the one farthest from those chosen.

    Parameters
    ----------
    points : ndarray of shape (n, dim)
        In units that make distances meaningful.
    count : int
        How many; all of them if there are fewer.

    Returns
    -------
    ndarray of shape (min(count, n),), int64
        Indices in the order of choice.

    Notes
    -----
    Farthest-point selection: Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985).
    """
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))]
    gaps = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(gaps)))
        gaps = np.minimum(gaps, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def scene(env: MujocoEnv, skipped: int, along: int, observation: np.ndarray, action: np.ndarray) -> Scene:
    """Put the robot into a state, draw it, apply an action (clipped to its bounds) for one step, and draw it again."""
    model, data = env.model, env.data
    state = np.concatenate([np.zeros(skipped), observation])
    mujoco.mj_resetData(model, data)  # the solver would start from where the last pair ended
    data.qpos[:], data.qvel[:] = state[: model.nq], state[model.nq :]
    mujoco.mj_forward(model, data)
    before, positions = outlines(model, data, along), {"state": data.qpos.copy()}
    env.step(np.clip(action, *environments.action_bounds(env)))
    broken = any(data.warning[warning].number for warning in UNSTABLE)
    after = [] if broken else outlines(model, data, along)
    positions |= {} if broken else {"next": data.qpos.copy()}
    extent = np.concatenate([part.points for part in before])
    middle = (extent.min(0) + extent.max(0)) / 2 * [1, not upright(along)]
    shown = [[Outline(part.points - middle, part.shade) for part in parts] for parts in (before, after)]
    return Scene(shown[0], shown[1], positions)


def _environment(env_id: str) -> tuple[MujocoEnv, int]:
    """Make an environment; returns it and how many leading positions its observations leave out."""
    env = environments.make(env_id).unwrapped
    if isinstance(env, MujocoEnv):
        observation, _ = env.reset(seed=0)
        state = np.concatenate([env.data.qpos, env.data.qvel])
        skipped = len(state) - len(observation)
        if skipped >= 0 and np.array_equal(state[skipped:], observation):
            return env, skipped
    raise CannotBeDrawn(
        f"env_id: {env_id!r}: its state cannot be set from an observation; allowed: MuJoCo environments whose "
        "observation is positions and velocities (HalfCheetah, Hopper, Walker2d, Swimmer)"
    )
