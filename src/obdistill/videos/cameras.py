"""Cameras: what an environment looks like now, rendered where that can be done, else drawn as outlines."""

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from PIL import Image, ImageDraw

from obdistill.core import environments
from obdistill.core.errors import UserError
from obdistill.videos.outlines import Outline, outlines, side_view, tint, upright
from obdistill.videos.settings import Rendering

Camera = Callable[[], Image.Image]
Color = tuple[float, float, float]  # in [0, 1]
VARIABLE = "MUJOCO_GL"  # the OpenGL library that MuJoCo takes
LIBRARIES = ("egl", "osmesa")  # those that need no screen
PROBE = """
import mujoco
renderer = mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8)
renderer.render()
renderer.close()
"""
PATIENCE = 60  # seconds for a probe
FOLLOWING = "track"  # the camera that goes with the robot, by its name in Gymnasium's models
SKY, GROUND, MARKS, EDGE = "#F4F6F8", "#D8D8D8", "#AAAAAA", "#FFFFFF"
ROOM = 1.8  # height of a drawn picture, in heights or widths of the robot as it starts
SMOOTH = 2  # outlines are drawn so many times larger and then made smaller
log = logging.getLogger(__name__)
logging.getLogger("OpenGL").setLevel(logging.WARNING)  # which package would make it faster is no one's concern here


@functools.cache
def gl_library() -> str | None:
    """Return the OpenGL library that renders here, None if there is none.

    It is the one that ``MUJOCO_GL`` names, or the first of EGL and OSMesa. Each is tried in a process of its own: one
    that is broken may end a process.
    """
    given = os.environ.get(VARIABLE)
    for library in [given] if given else LIBRARIES:
        try:
            done = subprocess.run(
                [sys.executable, "-c", PROBE],
                env={**os.environ, VARIABLE: library},
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            return library
    return None


def open_environment(
    env_id: str, size: tuple[int, int], color: Color, rendering: Rendering
) -> "tuple[gymnasium.Env[Any, Any], Camera]":
    """Make an environment and a camera on it.

    Parameters
    ----------
    env_id : str
        Gymnasium id.
    size : tuple of int
        Width and height of the pictures in pixels.
    color : tuple of float
        Of the robot, where it is drawn.
    rendering : {"auto", "mujoco", "outlines"}
        How a MuJoCo robot is shown; ``auto`` draws outlines where nothing can be rendered. Other environments draw
        themselves.

    Returns
    -------
    env : Env
        To be stepped, and closed at the end.
    camera : callable
        Gives a picture of the environment as it is then.

    Raises
    ------
    UserError
        If there is no such environment, or no way to show it.
    """
    env = environments.make(env_id)
    environments.check_time_limit(env, env_id)
    if not isinstance(env.unwrapped, MujocoEnv):
        if rendering == "outlines":
            raise UserError(f"env_id: {env_id!r}: is no MuJoCo environment, and has no outlines")
        return _rendered(env_id, size)
    if rendering != "outlines":
        library = gl_library()
        if library is not None:
            os.environ[VARIABLE] = library
            follows = mujoco.mj_name2id(env.unwrapped.model, mujoco.mjtObj.mjOBJ_CAMERA, FOLLOWING) >= 0
            camera = {"camera_name": FOLLOWING} if follows else {}
            return _rendered(env_id, size, width=size[0], height=size[1], **camera)
        if rendering == "mujoco":
            raise UserError(
                "rendering: mujoco: no OpenGL library renders here; on Debian: apt-get install libegl1 (or "
                "libosmesa6); outlines need none"
            )
        log.info("no OpenGL library renders here (Debian: libegl1, libosmesa6): robots are drawn as outlines")
    return env, _Drawing(env.unwrapped, size, color)


def _rendered(env_id: str, size: tuple[int, int], **options: int | str) -> "tuple[gymnasium.Env[Any, Any], Camera]":
    """Make an environment that draws itself."""
    env = environments.make(env_id, render_mode="rgb_array", **options)

    def camera() -> Image.Image:
        try:
            pixels = env.render()
        except Exception as error:  # of whatever the environment draws with
            raise UserError(f"env_id: {env_id!r}: cannot be rendered ({' '.join(str(error).split())[:200]})") from None
        return Image.fromarray(np.asarray(pixels)).convert("RGB").resize(size)

    return env, camera


class _Drawing:
    """A camera that draws the outlines of a robot and follows it to the side.

    The scale is that of the robot as it stands at the first picture.
    """

    def __init__(self, env: MujocoEnv, size: tuple[int, int], color: Color) -> None:
        self._env, self._color = env, color
        self._width, self._height = (SMOOTH * pixels for pixels in size)
        self._along = -1
        self._pixels_per_meter = 0.0

    def __call__(self) -> Image.Image:
        if self._along < 0:  # not known before the first state
            self._along = side_view(self._env)
        parts = outlines(self._env.model, self._env.data, self._along)
        corners = np.concatenate([part.points for part in parts])
        low, high = corners.min(0), corners.max(0)
        if not self._pixels_per_meter:
            self._pixels_per_meter = self._height / (ROOM * float((high - low).max()))
        middle = (low + high) / 2
        picture = Image.new("RGB", (self._width, self._height), SKY)
        draw = ImageDraw.Draw(picture)
        self._draw_ground(draw, middle)
        for part in parts:
            self._draw_part(draw, part, middle)
        return picture.resize((self._width // SMOOTH, self._height // SMOOTH), Image.Resampling.LANCZOS)

    def _draw_ground(self, draw: ImageDraw.ImageDraw, middle: np.ndarray) -> None:
        """Draw the ground, and a mark at every meter, so that one sees the robot move."""
        half = self._width / 2 / self._pixels_per_meter
        top = self._place(np.array([0, 0.0]), middle)[1] if upright(self._along) else self._height
        draw.rectangle((0, top, self._width, self._height), fill=GROUND)
        for meter in range(int(np.ceil(middle[0] - half)), int(middle[0] + half) + 1):
            x = self._place(np.array([meter, 0.0]), middle)[0]
            draw.line((x, top, x, top + 6 * SMOOTH if upright(self._along) else 0), fill=MARKS, width=SMOOTH)

    def _draw_part(self, draw: ImageDraw.ImageDraw, part: Outline, middle: np.ndarray) -> None:
        color = tuple(round(255 * channel) for channel in tint(self._color, part.shade))
        corners = [self._place(point, middle) for point in part.points]
        draw.polygon(corners, fill=color, outline=EDGE)

    def _place(self, point: np.ndarray, middle: np.ndarray) -> tuple[float, float]:
        """Return where a point in meters is in the picture, from its upper left corner."""
        x = self._width / 2 + (point[0] - middle[0]) * self._pixels_per_meter
        bottom = 0.15 * self._height  # below the ground
        if upright(self._along):
            return x, self._height - bottom - point[1] * self._pixels_per_meter
        return x, self._height / 2 - (point[1] - middle[1]) * self._pixels_per_meter
