"""Checks and precision of tensors' values. Reading one waits for its device; tensors on the meta device have none."""

import torch
from torch import Tensor


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers; on the meta device it has a shape only."""
    return not tensor.is_meta


def all_finite(tensor: Tensor) -> bool:
    """Whether no number of a tensor is NaN or infinite."""
    return not has_values(tensor) or bool(torch.isfinite(tensor).all())


def as_float(scalar: Tensor) -> float:
    """The number in a tensor of no dimensions; 0 on the meta device."""
    return float(scalar.detach()) if has_values(scalar) else 0.0


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in single precision, or unchanged if it is in double."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
