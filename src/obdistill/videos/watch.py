"""Policies at work, side by side: what ``obd watch`` shows."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.core.methods import METHODS
from obdistill.core.units import Task
from obdistill.evaluations.stage import environment_seeds
from obdistill.evaluations.train import train
from obdistill.near_experts import near_expert as near_experts
from obdistill.near_experts.near_expert import read_near_expert
from obdistill.policies.policy import Policy
from obdistill.synsets.synset import read_pairs
from obdistill.videos.cameras import Color, open_environment
from obdistill.videos.files import check_can_write, write_film
from obdistill.videos.settings import Rendering

SHAPE = 0.75  # height over width of a picture
GRAY, VERMILION = (0.25, 0.25, 0.25), (0.84, 0.37, 0.0)  # near-experts and policies, where robots are drawn
GAP = 2  # pixels between pictures
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Actor:
    """One that is watched.

    Attributes
    ----------
    label : str
        What it is.
    task : Task
        Where it acts.
    act : callable
        States (n, state_dim) to actions (n, action_dim), both in the environment's units.
    color : tuple of float
        Of the robot, where it is drawn.
    """

    label: str
    task: Task
    act: Callable[[np.ndarray], np.ndarray]
    color: Color


def watch(
    paths: Sequence[Path],
    out: Path,
    beside: Sequence[Path] = (),
    *,
    seed: int = 0,
    seconds: float = 5.0,
    fps: float = 20.0,
    width: int = 240,
    env_id: str | None = None,
    rendering: Rendering = "auto",
) -> None:
    """Film one episode of each policy: a row for each task, its near-experts first.

    Parameters
    ----------
    paths : sequence of Path
        Policies, and synsets: a fresh policy is trained on each, as its distillation trains them.
    out : Path
        ``.gif``, ``.mp4``, or ``.png`` for a few moments in one picture.
    beside : sequence of Path
        Near-experts, or folders that hold ``near_expert.safetensors``, shown to the left.
    seed : int
        Seed of the trained policies and of the environments' resets: all of a task begin alike.
    seconds : float
        Time to show; an episode that ends before stands still.
    fps : float
        Pictures per second, of the video and of the robot.
    width : int
        Width of one picture in pixels.
    env_id : str, optional
        Environment to act in, if not that of the task.
    rendering : {"auto", "mujoco", "outlines"}
        As `obdistill.videos.cameras.open_environment` takes it.

    Raises
    ------
    UserError
        If a file cannot be read, an environment cannot be made or shown, or the format cannot be written.
    """
    check_can_write(out)
    actors = [read_near_expert_actor(path) for path in beside] + [read_actor(path, seed) for path in paths]
    films = []
    for actor in actors:
        log.info("%s: %s", actor.label, env_id or actor.task.env_id)
        films.append(film(actor, env_id or actor.task.env_id, seed, round(seconds * fps), fps, width, rendering))
    write_film(out, side_by_side(actors, films), fps)
    log.info("%s: %.1f MB", out, out.stat().st_size / 1e6)


def read_actor(path: Path, seed: int) -> Actor:
    """Read a policy, or train one on a synset by the synset's own settings.

    Raises
    ------
    UserError
        If the file is neither, or damaged.
    """
    if path.suffix == ".safetensors":
        if artifacts.sidecar(path).is_file() and artifacts.read_sidecar(path).get("kind") == near_experts.KIND:
            return read_near_expert_actor(path)
        policy = Policy.load(path)
    else:
        policy = train(read_pairs(path), seed=seed)
    made = policy.made.get("synset", {})
    method = METHODS[made["method"]].label if made.get("method") in METHODS else "policy"
    label = f"{method}, {made['size']:,} pairs" if "size" in made else method
    return Actor(label, policy.task, policy, VERMILION)


def read_near_expert_actor(path: Path) -> Actor:
    """Read a near-expert: its file, or the folder that holds ``near_expert.safetensors``.

    Raises
    ------
    UserError
        If there is none, or it is damaged.
    """
    near_expert = read_near_expert(path / "near_expert.safetensors" if path.is_dir() else path)

    def act(observations: np.ndarray) -> np.ndarray:
        return near_expert.normalizer.raw_actions(near_expert.actions(observations))

    return Actor("near-expert", near_expert.task, act, GRAY)


def film(
    actor: Actor, env_id: str, seed: int, pictures: int, fps: float, width: int, rendering: Rendering
) -> list[Image.Image]:
    """Film one episode.

    Returns
    -------
    list of Image
        As many as `pictures`; after the end of the episode, the last one again.

    Raises
    ------
    UserError
        If the environment or the policy fails, or a state or action is not finite.
    """
    env, camera = open_environment(env_id, (width, round(SHAPE * width)), actor.color, rendering)
    seconds_per_step = _seconds_per_step(env)
    low, high = environments.action_bounds(env)
    steps, total, ended = 0, 0.0, False
    try:
        state = environments.reset(env, int(environment_seeds(seed, 1, 1)[0, 0]))
        found: list[Image.Image] = []
        for number in range(pictures):
            while not ended and steps * seconds_per_step < number / fps - 1e-9:
                action = np.clip(actor.act(state[None])[0], low, high)
                state, reward, terminated, truncated = environments.step(env, action)
                if not np.isfinite(action).all() or not np.isfinite(state).all():
                    raise environments.Faulty("an action or a state is not finite")
                steps, total, ended = steps + 1, total + reward, terminated or truncated
            told = f"{steps * seconds_per_step:.1f} s, return {total:.0f}"
            found.append(labeled(camera(), actor.label, f"{told}, ended" if ended else told))
    except environments.Faulty as error:
        raise UserError(f"{env_id}: {actor.label}, step {steps}: {error}") from None
    finally:
        env.close()
    return found


def _seconds_per_step(env: Any) -> float:
    """Return the simulated time of a step; environments without one say how many pictures they draw per second."""
    dt = getattr(env.unwrapped, "dt", None)
    return float(dt) if isinstance(dt, float) and dt > 0 else 1 / float(env.metadata.get("render_fps") or 30)


def labeled(picture: Image.Image, above: str, below: str) -> Image.Image:
    """Write on a picture: who it is in the upper left corner, how far in the lower."""
    size = max(10, picture.width // 18)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    for text, y in ((above, size // 3), (below, picture.height - 4 * size // 3)):
        draw.text((size // 2, y), text, fill="white", font=font, stroke_width=2, stroke_fill="#202020")
    return picture


def side_by_side(actors: Sequence[Actor], films: Sequence[Sequence[Image.Image]]) -> list[Image.Image]:
    """Put films of one length into one: a row for each task, in the order in which tasks and actors are given."""
    tasks = list(dict.fromkeys(actor.task.name for actor in actors))
    rows = [[film for actor, film in zip(actors, films, strict=True) if actor.task.name == task] for task in tasks]
    return [_grid([film[number] for film in row] for row in rows) for number in range(len(films[0]))]


def _grid(rows: Iterable[Sequence[Image.Image]]) -> Image.Image:
    pictures = [list(row) for row in rows]
    width, height = (pixels + GAP for pixels in pictures[0][0].size)
    grid = Image.new("RGB", (width * max(map(len, pictures)) - GAP, height * len(pictures) - GAP), "white")
    for down, row in enumerate(pictures):
        for across, picture in enumerate(row):
            grid.paste(picture, (width * across, height * down))
    return grid
