"""Films as files: GIF, MP4, or one picture of a few moments."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from obdistill.core.atomic import replacing
from obdistill.core.errors import UserError
from obdistill.videos.settings import SUFFIXES

COLORS = 64  # of a GIF
MOMENTS = 5  # in one picture


def check_can_write(path: Path) -> None:
    """Check that a film can be written in the format that a path names.

    Raises
    ------
    UserError
        If the suffix is not one of `obdistill.videos.settings.SUFFIXES`, or is ``.mp4`` and there is no ffmpeg.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--out {path}: ends in {path.suffix or 'nothing'!r}; {' or '.join(SUFFIXES)} is needed")
    if path.suffix == ".mp4" and _ffmpeg() is None:
        raise UserError(f"--out {path}: .mp4 needs ffmpeg: pip install imageio-ffmpeg; .gif needs nothing")


def write_film(path: Path, pictures: Sequence[Image.Image], fps: float) -> None:
    """Write pictures of one size as a film, or with ``.png`` a few of them in one, along its shorter side.

    Parameters
    ----------
    path : Path
        Ends in one of `obdistill.videos.settings.SUFFIXES`.
    pictures : sequence of Image
        At least one.
    fps : float
        Pictures per second. A GIF counts in steps of 10 ms.

    Raises
    ------
    UserError
        As `check_can_write` says, or if the file cannot be written.
    """
    check_can_write(path)
    with replacing(path) as to:
        if path.suffix == ".gif":
            _write_gif(to, pictures, fps)
        elif path.suffix == ".mp4":
            _write_mp4(to, pictures, fps)
        else:
            chosen = np.linspace(0, len(pictures) - 1, min(MOMENTS, len(pictures))).round().astype(int)
            beside = pictures[0].height > pictures[0].width
            Image.fromarray(np.concatenate([np.asarray(pictures[i]) for i in chosen], int(beside))).save(to)


def _write_gif(path: Path, pictures: Sequence[Image.Image], fps: float) -> None:
    """Write a GIF with one palette and no dithering: where nothing moves, nothing is written."""
    sample = [np.asarray(picture) for picture in pictures[:: max(1, len(pictures) // 8)]]
    palette = Image.fromarray(np.concatenate(sample)).quantize(COLORS, method=Image.Quantize.MEDIANCUT)
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    first.save(path, save_all=True, append_images=others, duration=1000 / fps, loop=0, optimize=True)


def _write_mp4(path: Path, pictures: Sequence[Image.Image], fps: float) -> None:
    width, height = pictures[0].size
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # as players need it
    made = ["-vf", even, "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(path)]
    done = subprocess.run(
        [str(_ffmpeg()), "-y", "-loglevel", "error", *given, *made],
        input=b"".join(picture.tobytes() for picture in pictures),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        text = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise UserError(f"--out {path.name}: ffmpeg fails ({text}); .gif needs none")


def _ffmpeg() -> str | None:
    """Return the program: that of imageio-ffmpeg, or the system's."""
    try:
        import imageio_ffmpeg  # here, for it is an optional package
    except ModuleNotFoundError:
        return shutil.which("ffmpeg")
    return str(imageio_ffmpeg.get_ffmpeg_exe())
