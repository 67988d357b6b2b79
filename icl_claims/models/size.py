"""How many parameters a model has, read from its files without loading it."""

from __future__ import annotations

from math import prod
from pathlib import Path

from icl_claims.models.reference import located


def parameters_of(reference: str) -> int | None:
    """How many numbers the weights of a model hold as they are stored, tied ones once; None where the files do not say.

    >>> parameters_of("tiny")
    374144

    Raises:
        ModelError: An unknown reference, or a damaged checkpoint of fairseq.
    """
    folder, is_fairseq = located(reference)
    if is_fairseq:
        from icl_claims.models.fairseq import read_fairseq_checkpoint

        _, tensors = read_fairseq_checkpoint(folder / "model.pt")
        return sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())
    files = sorted(folder.glob("*.safetensors"))
    return sum(map(_stored, files)) if files else None


def _stored(file: Path) -> int:
    from safetensors import safe_open

    with safe_open(str(file), framework="pt") as weights:
        names = weights.keys()
        return sum(prod(weights.get_slice(name).get_shape()) for name in names)
