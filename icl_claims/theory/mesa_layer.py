"""The mesa-layer: attention that answers every token by the ridge regression of values on keys up to that token.

Source: von Oswald et al. 2023, Uncovering mesa-optimization algorithms in transformers, the mesa-layer, as reported.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.example_by_example import add_rank_one

Keys = Float[Tensor, "tokens width"]
Values = Float[Tensor, "tokens outputs"]


def mesa_attention(keys: Keys, values: Values, queries: Keys, penalty: float) -> Values:
    """Phi_t q_t at every token t, where Phi_t has the least sum_{s <= t} |Phi k_s - v_s|^2 + lambda |Phi|^2.

    Phi_t = (sum v_s k_s^T) R_t, where R_t = (lambda I + sum k_s k_s^T)^-1 starts at I / lambda and gets an update of
    rank one with every token.

    >>> keys = torch.tensor([[2.0], [0.0]])
    >>> mesa_attention(keys, torch.tensor([[4.0], [3.0]]), torch.ones(2, 1), penalty=4.0).tolist()  # 8 / (4 + 4)
    [[1.0], [1.0]]
    """
    inverse = torch.eye(keys.shape[1]).to(keys) / penalty
    moments = keys.new_zeros(values.shape[1], keys.shape[1])
    answers = []
    for key, value, query in zip(keys, values, queries, strict=True):
        inverse = add_rank_one(inverse, key, key)
        moments = moments + torch.outer(value, key)
        answers.append(moments @ inverse @ query)
    return torch.stack(answers) if answers else torch.zeros_like(values)
