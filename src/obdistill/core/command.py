"""What every stage's command shares: settings, log file and thread count as options."""

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pydantic

from obdistill.core import artifacts, lock, logs
from obdistill.core.declarations import describe
from obdistill.core.errors import UserError
from obdistill.core.parsing import assignments, merge, parse

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


def _device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    import torch  # here, for the stages without a device start in a fraction of the time that torch takes

    try:
        torch.empty(0, device=value)
    except (RuntimeError, AssertionError):
        raise click.BadParameter(f"{value!r} is no torch device of this machine; cpu is one") from None
    return value


def out_option(suffix: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make the option ``--out``: a file that ends in `suffix`, in a folder that can be written to.

    Both are checked before the work starts, which may take days.
    """

    def check(context: click.Context, parameter: click.Parameter, out: Path) -> Path:
        if out.suffix != suffix:
            raise click.BadParameter(f"{str(out)!r} ends in {out.suffix or 'nothing'!r}; {suffix} is needed")
        artifacts.check_writable(out)
        return out

    return click.option("--out", type=FILE, required=True, callback=check, help=text)


device_option = click.option(
    "--device", callback=_device, default="cpu", show_default=True, help="Torch device, e.g. cuda."
)
checkpoint_option = click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Minutes between two checkpoints, from which a killed run goes on.",
)


def stage(
    name: str, model: type[pydantic.BaseModel] | None = None, computes: bool = True
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a stage's command out of a function.

    The function receives its own options and, if `model` is given, ``settings``: an instance of it, built from
    ``--settings`` (JSON) with ``--set key=value`` laid over it.

    Parameters
    ----------
    name : str
        Name of the command.
    model : type, optional
        The stage's settings class; its keys are listed by ``--help``.
    computes : bool
        Whether the stage computes by torch, whose threads are set then.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(log: Path | None, threads: int | None, **options: Any) -> None:
            try:
                logs.set_up(name, log)
                lock.share()
                if threads is not None and computes:
                    import torch  # here, for the stages that only read tables start in a fraction of the time

                    torch.set_num_threads(threads)
                if model is not None:
                    options["settings"] = _settings(model, options.pop("settings"), options.pop("assignment"))
                function(**options)
            except UserError as error:
                for line in str(error).splitlines():
                    logging.getLogger(__name__).error("error: %s", line)
                raise SystemExit(2) from None
            except (OSError, MemoryError) as error:  # the machine's fault: full disk, no permission, no memory
                logging.getLogger(__name__).error("error: %s", " ".join(str(error).split()) or "out of memory")
                raise SystemExit(2) from None
            except Exception:
                logging.getLogger(__name__).exception("stopped by an error")
                raise SystemExit(1) from None

        command = click.command(name, context_settings={"help_option_names": ["-h", "--help"]})(run)
        if model is not None:
            click.option("--settings", default="{}", metavar="JSON", help="Settings as JSON (see below).")(command)
            click.option(
                "--set", "assignment", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated."
            )(command)
            command.epilog = "\b\nSettings:\n" + "\n".join(f"  {line}" for line in describe(model))
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: all cores).")(command)
        click.option("--log", type=FILE, help="Write the log to this file as well.")(command)
        return command

    return decorate


def _settings(model: type[pydantic.BaseModel], text: str, texts: tuple[str, ...]) -> pydantic.BaseModel:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--settings: is not JSON ({error})") from None
    if not isinstance(given, dict):
        raise UserError(f"--settings: holds {type(given).__name__}; a JSON object is needed")
    return parse(model, merge(given, assignments(texts)), "settings")
