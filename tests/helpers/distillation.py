"""Settings of a small distillation."""

from obdistill.synsets.settings import DistillSettings, InnerSettings, OuterSettings


def small_settings(steps: int = 6, every: int = 2, **outer) -> DistillSettings:
    """Make settings of a few steps, without what the default outer loop adds to plain descent."""
    return DistillSettings(
        steps=steps,
        snapshot_every=every,
        inner=InnerSettings(architecture="mlp_2", steps=3),
        outer=OuterSettings(
            **{"batch_size": 16, "averaging": 0.0, "adaptive_clip": None, "weight_decay": 0.0, **outer}
        ),
    )
