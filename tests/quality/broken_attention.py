"""Linear self-attention with something in it that does not belong there."""

from __future__ import annotations

from icl_claims.theory import linear_self_attention as attention

attend = attention.attend_linearly


def with_softmax(layer, demonstrations, tokens):
    scores = (tokens @ layer.query.mT) @ (demonstrations @ layer.key.mT).mT
    return tokens + scores.softmax(dim=-1) @ (demonstrations @ layer.value.mT) @ layer.projection.mT


def with_squared_scores(layer, demonstrations, tokens):
    scores = (tokens @ layer.query.mT) @ (demonstrations @ layer.key.mT).mT
    return tokens + scores.square() @ (demonstrations @ layer.value.mT) @ layer.projection.mT


def with_norm_before(layer, demonstrations, tokens):
    shown, asked = (each / each.norm(dim=-1, keepdim=True) for each in (demonstrations, tokens))
    return tokens + attend(layer, shown, asked) - asked


def with_positions(layer, demonstrations, tokens):
    places = demonstrations.new_zeros(demonstrations.shape[-2:]) + demonstrations.new_tensor(
        [[0.1 * (place + 1)] for place in range(demonstrations.shape[-2])]
    )
    return attend(layer, demonstrations + places, tokens)
