"""The command ``obd near-expert``."""

from pathlib import Path

from obdistill.core.command import checkpoint_option, dataset_option, device_option, out_option, stage
from obdistill.near_experts.settings import NearExpertSettings


@stage("near-expert", NearExpertSettings)
@dataset_option
@out_option(".safetensors", "Near-expert to write (.safetensors).")
@device_option
@checkpoint_option
def near_expert(dataset: Path, out: Path, settings: NearExpertSettings, device: str, checkpoint_minutes: float) -> None:
    """Train or import a near-expert policy and its critics."""
    from obdistill.near_experts.stage import make_near_expert

    make_near_expert(dataset, settings, out, device, checkpoint_minutes)
