"""What is known of D4RL without reading a file: its nine sets of the paper, and its reference returns."""

URL = "http://rail.eecs.berkeley.edu/datasets/offline_rl/gym_mujoco_v2/{file}.hdf5"


ENVIRONMENTS = {"halfcheetah": "HalfCheetah-v4", "hopper": "Hopper-v4", "walker2d": "Walker2d-v4"}


# D4RL's name -> (URL, environment); the files spell the level with underscores
BUILT_IN = {
    f"{name}-{level}-v2": (URL.format(file=f"{name}_{level.replace('-', '_')}-v2"), env_id)
    for name, env_id in ENVIRONMENTS.items()
    for level in ("medium-replay", "medium", "medium-expert")
}


# D4RL's reference returns (random, expert); versions 2 to 5 of an environment share them
REFERENCE_RETURNS = {
    "HalfCheetah": (-280.178953, 12135.0),
    "Hopper": (-20.272305, 3234.3),
    "Walker2d": (1.629008, 4592.3),
}
VERSIONS = ("2", "3", "4", "5")  # of these environments, in Gymnasium and in D4RL


def reference_returns(env_id: str) -> tuple[float, float] | None:
    """Return D4RL's (random, expert) returns of an environment, None where D4RL has none.

    Only Gymnasium's own ids count: ``my/Hopper-v0`` or ``my_module:Hopper-v5`` is another robot of the same name.
    """
    name, _, version = env_id.partition("-v")
    return REFERENCE_RETURNS.get(name) if version in VERSIONS else None
