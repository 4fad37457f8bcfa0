"""What every stage's command shares: settings, log file and thread count as options."""

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pydantic

from obdistill.core import lock, logs, outputs, provenance, termination
from obdistill.core.atomic import check_writable
from obdistill.core.declarations import describe
from obdistill.core.errors import UserError, missing_extra, out_of_memory
from obdistill.core.parsing import assignments, merge, parse


class UserPath(click.Path):
    """A path as people write it: ``~`` is the home folder, where the shell has left it as it is."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Expand it."""
        return super().convert(os.path.expanduser(value), parameter, context)


FILE = UserPath(path_type=Path, dir_okay=False)
FOLDER = UserPath(path_type=Path, file_okay=False)
APART = ("settings", "device", "checkpoint_minutes", "workers")  # options that a result is not made from


def _device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    import torch  # here, for the stages without a device start in a fraction of the time that torch takes

    try:
        torch.empty(0, device=value)
    except (RuntimeError, AssertionError):
        raise click.BadParameter(f"{value!r} is no torch device of this machine; cpu is one") from None
    return value


def out_option(suffix: str | tuple[str, ...], text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make the option ``--out``: a file that ends in `suffix`, or one of several, in a folder that can be written to.

    Both are checked before the work starts, which may take days.
    """

    def check(context: click.Context, parameter: click.Parameter, out: Path) -> Path:
        allowed = (suffix,) if isinstance(suffix, str) else suffix
        if out.suffix not in allowed:
            needed = " or ".join(allowed)
            raise click.BadParameter(f"{str(out)!r} ends in {out.suffix or 'nothing'!r}; {needed} is needed")
        check_writable(out)
        return out

    return click.option("--out", type=FILE, required=True, callback=check, help=text)


dataset_option = click.option("--dataset", type=FILE, required=True, help="Dataset artifact (.npz).")
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
            with _one_line_for_errors(name), termination.handled():
                logs.set_up(name)
                if model is not None:
                    options["settings"] = _settings(model, options.pop("settings"), options.pop("assignment"))
                out = options.pop("out", None)
                settings_given = options["settings"].model_dump() if model is not None else {}
                read = list(outputs.paths_in([options, settings_given]))
                if log is not None:  # checked first, for it is emptied now
                    outputs.check_log(log, out, read)
                    logs.set_up(name, log)
                lock.share()
                if threads is not None and computes:
                    import torch  # here, for the stages that only read tables start in a fraction of the time

                    torch.set_num_threads(threads)
                given = options["settings"].model_dump(mode="json") if model is not None else {}
                noted = {key: value for key, value in options.items() if key not in APART}
                with provenance.noted(name, given, noted):
                    if out is None:
                        function(**options)
                        return
                    outputs.check(out, read)
                    with lock.output(out):
                        function(**options, out=out)

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


@contextlib.contextmanager
def _one_line_for_errors(name: str) -> Iterator[None]:
    """End with a status, and one line for whatever is the user's, the machine's or a signal's doing."""
    log = logging.getLogger(__name__)
    try:
        yield
    except UserError as error:
        for line in str(error).splitlines():
            log.error("error: %s", line)
        raise SystemExit(2) from None
    except termination.Terminated as error:
        log.error("error: %s", error.text)
        raise
    except KeyboardInterrupt as error:
        log.info("interrupted%s", error)
        raise
    except OSError as error:  # full disk, no permission
        log.error("error: %s", _in_one_line(error))
        raise SystemExit(2) from None
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (text := missing_extra(error, name)) is not None:
            log.error("error: %s", text)
            raise SystemExit(2) from None
        if out_of_memory(error):
            log.error("error: out of memory (%s)", _in_one_line(error))
            raise SystemExit(2) from None
        log.exception("stopped by an error")
        raise SystemExit(1) from None


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _settings(model: type[pydantic.BaseModel], text: str, texts: tuple[str, ...]) -> pydantic.BaseModel:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--settings: is not JSON ({error})") from None
    if not isinstance(given, dict):
        raise UserError(f"--settings: holds {type(given).__name__}; a JSON object is needed")
    return parse(model, merge(given, assignments(texts)), "settings")
