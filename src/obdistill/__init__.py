"""Offline behavior distillation: a large offline-RL dataset becomes a handful of (state, action) pairs.

The names below are looked up when they are used, so that importing the package takes no time and no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obdistill.core.errors import UserError
    from obdistill.datasets.transitions import Dataset, read_dataset, write_dataset
    from obdistill.evaluations.train import evaluate, pick_best, train
    from obdistill.near_experts.near_expert import NearExpert, read_near_expert, write_near_expert
    from obdistill.near_experts.stage import train_near_expert
    from obdistill.policies.policy import Policy
    from obdistill.synsets.distillation import distill
    from obdistill.synsets.settings import PROTOCOL
    from obdistill.synsets.synset import Synset, read_synset, write_synset
    from obdistill.synsets.zoo import load

__all__ = [
    "PROTOCOL",
    "Dataset",
    "NearExpert",
    "Policy",
    "Synset",
    "UserError",
    "distill",
    "evaluate",
    "load",
    "pick_best",
    "read_dataset",
    "read_near_expert",
    "read_synset",
    "train",
    "train_near_expert",
    "write_dataset",
    "write_near_expert",
    "write_synset",
]

_MODULES = {
    "core.errors": ["UserError"],
    "datasets.transitions": ["Dataset", "read_dataset", "write_dataset"],
    "evaluations.train": ["evaluate", "pick_best", "train"],
    "near_experts.near_expert": ["NearExpert", "read_near_expert", "write_near_expert"],
    "near_experts.stage": ["train_near_expert"],
    "policies.policy": ["Policy"],
    "synsets.distillation": ["distill"],
    "synsets.settings": ["PROTOCOL"],
    "synsets.synset": ["Synset", "read_synset", "write_synset"],
    "synsets.zoo": ["load"],
}


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        import importlib

        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(f"obdistill.{module}"), name)
        raise AttributeError(f"module 'obdistill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
