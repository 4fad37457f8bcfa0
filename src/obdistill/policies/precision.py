"""Precision of the matrix products of float32 tensors: full, or reduced where the processor is faster at that."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from obdistill.policies.settings import Precision


def resolve(precision: Precision, device: str) -> Precision:
    """Choose for ``auto``: ``reduced`` where it is faster on the device, else ``float32``.

    Parameters
    ----------
    precision : {"auto", "float32", "reduced"}
        What is wanted.
    device : str
        Torch device.

    Returns
    -------
    {"float32", "reduced"}
        ``reduced`` is bfloat16 on processors with AMX and TensorFloat32 on NVIDIA's GPUs. Other processors are slower
        at bfloat16 than at float32 (``python benchmarks/meta_gradient.py``).
    """
    if precision != "auto":
        return precision
    fast = torch.cuda.is_available() if device.startswith("cuda") else torch.cpu.get_capabilities().get("amx_bf16")
    return "reduced" if fast else "float32"


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Compute products in this precision; what goes in, what comes out and the sums stay float32.

    Parameters
    ----------
    precision : {"float32", "reduced"}
        As `resolve` returns it.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if precision == "reduced" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
