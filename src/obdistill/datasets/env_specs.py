"""What a Minari dataset says of its environments, and what of it an environment that is made by its id would lack."""

import json
from collections.abc import Mapping
from typing import Any

import gymnasium

from obdistill.core.errors import UserError
from obdistill.datasets.checks import Warn

# of Gymnasium: they change neither states, actions, rewards nor ends
HARMLESS = {"HumanRendering", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "RecordVideo"}
HARMLESS |= {"FlattenObservation"}  # which `environments.make` adds itself
OF_OLD_GYMNASIUM = ("autoreset", "apply_api_compatibility")


def environment_of(metadata: Mapping[str, Any], name: str, chosen: str | None, warn: Warn) -> str | None:
    """Return the id of the environment to evaluate in: the chosen one, else that of ``eval_env_spec``, ``env_spec``.

    Parameters
    ----------
    metadata : mapping
        The dataset's ``metadata.json``.
    name : str
        The dataset's id, for messages.
    chosen : str or None
        What the user has set, if anything: it is taken, and what differs is a warning.
    warn : callable
        Takes each warning.

    Raises
    ------
    UserError
        If nothing is chosen, and a specification cannot be read or says more than the id does: wrappers, another time
        limit, options.
    """
    try:
        specs = {key: _read(metadata[key]) for key in ("env_spec", "eval_env_spec") if metadata.get(key) is not None}
    except (ValueError, RecursionError) as error:
        text = f"{name}: its environment cannot be read ({' '.join(str(error).split())[:160]})"
        if chosen is None:
            raise UserError(f"{text}; set env_id to the one to evaluate in") from None
        warn(f"{text}; {chosen} is used")
        return chosen
    evaluated = specs.get("eval_env_spec", specs.get("env_spec"))
    if evaluated is None:
        return chosen
    env_id = chosen or str(evaluated["id"])
    lost = _lost(evaluated, env_id)
    if (
        "eval_env_spec" in specs and "env_spec" in specs
    ):  # limit and options of the recording may differ, of actions not
        lost += [text for text in _wrappers(specs["env_spec"]) if text not in lost]
    if lost and chosen is None:
        raise UserError(
            f"{name}: made with {', '.join(lost)}, which would be lost; set env_id to an environment that has "
            f"them, or to {env_id!r} to do without"
        )
    if lost:
        warn(f"env_id: {chosen} is used; what {name} was made with is lost: {', '.join(lost)}")
    if _without_module(env_id) != _without_module(evaluated["id"]):
        warn(f"env_id: {chosen} is used; {name} names {evaluated['id']}")
    return env_id


def _read(text: Any) -> dict[str, Any]:
    """Read a specification without making anything it names; raises ValueError."""
    spec = json.loads(text) if isinstance(text, str) else None
    if not isinstance(spec, dict) or not isinstance(spec.get("id"), str):
        raise ValueError("no specification with an id")
    wrappers = spec.get("additional_wrappers") or []
    if not isinstance(wrappers, list) or not all(isinstance(wrapper, dict) for wrapper in wrappers):
        raise ValueError("additional_wrappers is no list of wrappers")
    if not isinstance(spec.get("kwargs") or {}, dict):
        raise ValueError("kwargs are no mapping")
    return spec


def _lost(spec: dict[str, Any], env_id: str) -> list[str]:
    """Say what an environment made by its id lacks of a specification."""
    registered = gymnasium.registry.get(_without_module(env_id))
    lost = _wrappers(spec)
    limit = None if registered is None else registered.max_episode_steps
    if registered is not None and spec.get("max_episode_steps", limit) != limit:
        found = json.dumps(spec["max_episode_steps"])
        lost.append(f"a time limit of {found:.40} steps ({env_id} has {json.dumps(limit)})")
    own = {} if registered is None else json.loads(json.dumps(registered.kwargs, default=str))
    options = {key: value for key, value in (spec.get("kwargs") or {}).items() if key != "render_mode"}
    options = {key: value for key, value in options.items() if key not in own or own[key] != value}
    if options:
        lost.append(f"options {json.dumps(options, sort_keys=True):.200}")
    return lost + [key for key in OF_OLD_GYMNASIUM if spec.get(key)]


def _without_module(env_id: str) -> str:
    return env_id.rpartition(":")[2]


def _wrappers(spec: dict[str, Any]) -> list[str]:
    wrappers = [str(wrapper.get("name")) for wrapper in spec.get("additional_wrappers") or []]
    return [f"the wrapper {wrapper:.80}" for wrapper in wrappers if wrapper not in HARMLESS]
