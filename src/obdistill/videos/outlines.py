"""Outlines of robots: the bodies of a MuJoCo model, projected along an axis.

They are computed from MuJoCo's kinematics and drawn as polygons. MuJoCo's own renderer needs an OpenGL library that a
bare machine lacks, and its pixels differ from driver to driver.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from obdistill.core.errors import UserError

CIRCLE = np.stack([np.cos(angles := np.linspace(0, 2 * np.pi, 32, endpoint=False)), np.sin(angles)], 1)
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
# axis looked along -> axes to the right and up, and the end of it that is near; from the side as MuJoCo's cameras look
VIEWS = {0: (1, 2, 1), 1: (0, 2, -1), 2: (0, 1, 1)}
TINTS = (1.0, 0.6, 0.35)  # of a robot's color, for its parts


class CannotBeDrawn(UserError):
    """Outlines of an environment's robot cannot be drawn; the message says why."""


@dataclass(frozen=True)
class Outline:
    """Outline of one body part.

    Attributes
    ----------
    points : ndarray of shape (n, 2), float64
        Convex polygon in meters: to the right of the middle of the robot, and above the ground (seen from above:
        above the middle).
    shade : int
        Number of its color among the colors of the model.
    """

    points: np.ndarray
    shade: int


def tint(color: tuple[float, float, float], shade: int) -> tuple[float, ...]:
    """Return the color of a part: a tint of the robot's color, all in [0, 1]."""
    return tuple(1 - (1 - channel) * TINTS[shade % len(TINTS)] for channel in color)


def upright(along: int) -> bool:
    """Tell whether up is the world's up when looking along an axis: from the side, not from above."""
    return VIEWS[along][1] == 2


def outlines(model: mujoco.MjModel, data: mujoco.MjData, along: int) -> list[Outline]:
    """Project the robot's geoms along an axis of the world, the farthest first; points are the world's.

    Raises
    ------
    CannotBeDrawn
        If a geom is of a kind not known here.
    """
    from scipy.spatial import ConvexHull  # what draws outlines that are there does not need it

    *plane, near = VIEWS[along]
    bodies = np.flatnonzero(model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE)  # all but the ground
    colors = list(dict.fromkeys(map(tuple, model.geom_rgba[bodies])))
    found = []
    for i in bodies[np.argsort(near * data.geom_xpos[bodies, along], kind="stable")]:
        kind, size = mujoco.mjtGeom(model.geom_type[i]), model.geom_size[i]
        match kind:  # a convex hull of points, and the radius of a ball that is moved over it
            case mujoco.mjtGeom.mjGEOM_SPHERE:
                points, radius = np.zeros((1, 3)), size[0]
            case mujoco.mjtGeom.mjGEOM_CAPSULE:
                points, radius = np.array([[0, 0, -size[1]], [0, 0, size[1]]]), size[0]
            case mujoco.mjtGeom.mjGEOM_BOX:
                points, radius = CORNERS * size, 0.0
            case _:
                raise CannotBeDrawn(f"the model has a geom of kind {kind.name}; allowed: plane, sphere, capsule, box")
        placed = (points @ data.geom_xmat[i].reshape(3, 3).T + data.geom_xpos[i])[:, plane]
        swept = (placed[:, None] + radius * CIRCLE).reshape(-1, 2)
        found.append(Outline(swept[ConvexHull(swept).vertices], colors.index(tuple(model.geom_rgba[i]))))
    return found


def side_view(env: MujocoEnv) -> int:
    """Return the axis of the world to look along: the one the hinges turn about in the present state."""
    hinges = env.model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE
    return int(np.argmax(np.abs(env.data.xaxis[hinges]).sum(0)))
