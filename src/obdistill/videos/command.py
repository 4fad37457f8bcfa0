"""The command ``obd watch``."""

from pathlib import Path
from typing import get_args

import click

from obdistill.core.command import UserPath, out_option, stage
from obdistill.synsets.command import SYNSET
from obdistill.videos.settings import SUFFIXES, Rendering


@stage("watch")
@click.argument("shown", metavar="POLICY|SYNSET...", type=SYNSET, nargs=-1, required=True)
@click.option(
    "--beside",
    type=UserPath(path_type=Path),
    multiple=True,
    help="Near-expert (file, or its folder) to show to the left; may be repeated, for several tasks.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of trained policies and of resets."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, help="Time to show."
)
@click.option(
    "--fps", type=click.FloatRange(min=1, max=100), default=20.0, show_default=True, help="Pictures per second."
)
@click.option(
    "--width", type=click.IntRange(min=32), default=240, show_default=True, help="Width of one picture in pixels."
)
@click.option("--env-id", help="Environment to act in (default: that of each).")
@click.option(
    "--rendering",
    type=click.Choice(get_args(Rendering)),
    default="auto",
    show_default=True,
    help="MuJoCo's own pictures, or outlines; auto: outlines where no OpenGL library renders.",
)
@out_option(SUFFIXES, "Video to write (.gif, .mp4), or a few moments in one picture (.png).")
def watch(
    shown: tuple[Path, ...],
    beside: tuple[Path, ...],
    seed: int,
    seconds: float,
    fps: float,
    width: int,
    env_id: str | None,
    rendering: Rendering,
    out: Path,
) -> None:
    """Film policies at work, side by side.

    Each is a POLICY (.safetensors) or a SYNSET (.npz, zoo:NAME), on which a policy is trained first.
    """
    from obdistill.videos.watch import watch

    watch(shown, out, beside, seed=seed, seconds=seconds, fps=fps, width=width, env_id=env_id, rendering=rendering)
