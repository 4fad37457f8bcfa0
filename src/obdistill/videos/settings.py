"""What can be chosen of a video; its options are those of ``obd watch``."""

from typing import Literal

SUFFIXES = (".gif", ".mp4", ".png")
Rendering = Literal["auto", "mujoco", "outlines"]
