"""Precision of the matrix products of float32 tensors: full, or reduced where the processor is faster at that."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
        ``reduced`` is bfloat16 on processors with AMX and AMD's with AVX-512 (Zen 4 and later), and TensorFloat32 on
        NVIDIA's GPUs. Other processors are slower at bfloat16 than at float32 (``python benchmarks/meta_gradient.py``).
    """
    if precision != "auto":
        return precision
    fast = torch.cuda.is_available() if device.startswith("cuda") else _has_fast_bfloat16(torch.cpu.get_capabilities())
    return "reduced" if fast else "float32"


def _has_fast_bfloat16(processor: Mapping[str, Any]) -> bool:
    """Tell from torch's description of a processor; Intel's AVX-512 alone has bfloat16, but slower than float32."""
    amd = str(processor.get("cpu_name", "")).startswith("AMD")
    return bool(processor.get("amx_bf16") or (amd and processor.get("avx512_bf16")))


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
