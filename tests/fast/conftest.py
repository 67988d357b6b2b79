"""What tests of several floors share: a plain way of running a model, and a tokenizer of whole words."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pkgutil import walk_packages

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

import icl_claims
from icl_claims import cli
from icl_claims.models import products
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, FIRST_WORD, random_network
from icl_claims.models.tokens import TokenEncoder

# What a run of pytest inside a test imports is forgotten when it ends, but its packages still hand out the old modules;
# imported again they would be there twice, each with half of what was registered. So all is imported before.
for _name in (
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    *(module.name for module in walk_packages(icl_claims.__path__, "icl_claims.")),
):
    import_module(_name)
for _family in CONFIGURATIONS:
    random_network(_family, 1, 0)  # transformers imports the modules of a family when they are asked for

_RECORDED = "eager_with_recorded_scores"
_scores: list[Tensor] = []


def _record_scores(module, query, key, value, attention_mask, **options):
    keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    _scores.append((query @ keys.transpose(2, 3) * scaling)[0])
    eager = sys.modules[type(module).__module__].eager_attention_forward
    return eager(module, query, key, value, attention_mask, **options)


AttentionInterface.register(_RECORDED, _record_scores)
AttentionMaskInterface.register(_RECORDED, eager_mask)


@dataclass(frozen=True)
class Seen:
    """What a plain forward over one whole prompt gives, at every position."""

    logits: Tensor  # tokens vocabulary
    outputs: Tensor  # layers tokens hidden
    scores: Tensor  # layers heads tokens tokens


class Plain:
    """Models of random weights in transformers' own hands: eager attention, one whole prompt at a time."""

    def network(self, family: str, layers: int = 3, seed: int = 0) -> nn.Module:
        return random_network(family, layers, seed, attention=_RECORDED)

    def see(self, network: nn.Module, ids: list[int]) -> Seen:
        outputs: list[Tensor] = []
        named = [
            module for name, module in network.named_modules() if name.endswith((".attn", "attention", "self_attn"))
        ]
        hooks = [m.register_forward_hook(lambda _m, _i, output: outputs.append(output[0][0])) for m in named]
        _scores.clear()
        with torch.no_grad():
            logits = network(torch.tensor([ids]), use_cache=False).logits[0]
        for hook in hooks:
            hook.remove()
        return Seen(logits, torch.stack(outputs), torch.stack(_scores))


@pytest.fixture(scope="session")
def plain() -> Plain:
    return Plain()


@pytest.fixture(params=["mkl", "onednn"])
def each_kernel(request, monkeypatch) -> str:
    """The kernel that computes products of float32 on the CPU, one after the other."""
    if request.param == "onednn" and not products.has_onednn():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(products, "chosen_kernel", lambda: request.param)
    return request.param


class WordTokenizer:
    """One token a word; `pieces` names words that are several tokens, `same` words that share one."""

    def __init__(self, pieces: dict[str, int] | None = None, same: dict[str, str] | None = None) -> None:
        self.pieces, self.same = pieces or {}, same or {}
        self.ids: dict[str, int] = {}

    def __call__(self, text: str, add_special_tokens: bool, split_special_tokens: bool) -> dict[str, list[int]]:
        assert (add_special_tokens, split_special_tokens) == (False, True)
        words = [self.same.get(word, word) for word in text.split()]
        return {
            "input_ids": [
                self.ids.setdefault(word, FIRST_WORD + len(self.ids))
                for word in words
                for _ in range(self.pieces.get(word, 1))
            ]
        }

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        word_of = {number: word for word, number in self.ids.items()}
        return [word_of.get(number, f"<{number}>") for number in ids]


@pytest.fixture(scope="session")
def word_encoder():
    def make(**special) -> TokenEncoder:
        return TokenEncoder(WordTokenizer(**special), BOS, EOS)

    return make


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command as the shell would; gives its exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["icl-claims", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    return run
