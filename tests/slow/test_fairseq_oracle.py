"""Real fairseq, in this process, and our loader give the same answers on the same checkpoint.

It needs `pip install 'icl-claims[fairseq]'`. A torchaudio that does not belong to the installed torch breaks
transformers; fairseq's language models do without it, so it can be uninstalled.
"""

from __future__ import annotations

import importlib.util
import warnings
from argparse import Namespace

import pytest
import torch

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.fairseq import opt_name
from icl_claims.models.loading import load_fairseq
from icl_claims.models.random_models import untrained

FOLDER = fixtures_folder() / "fairseq"
ROWS = ((0, 5, 6, 7), (0, *range(200, 260)), (0, 3, 2, 2, 2, 281))
TEXTS = ("naïve\u2028two\x0blines", "\n\n", " a\u00a0b ", "1234 567!?", "it'll they'RE", "~\t~")
VARIANTS = {
    "as made": {},
    "relu": {"activation_fn": "relu"},
    "unscaled": {"no_scale_embedding": True},
    "untied": {"share_decoder_input_output_embed": False},
    "more heads": {"decoder_attention_heads": 8},
}


@pytest.fixture(scope="module")
def real():
    """The script that made the fixture, which imports fairseq."""
    pytest.importorskip("fairseq", reason="fairseq is not installed: pip install 'icl-claims[fairseq]'")
    found = importlib.util.spec_from_file_location("make_fairseq_fixture", FOLDER / "make.py")
    made = importlib.util.module_from_spec(found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.loader.exec_module(made)
    return made


@pytest.fixture(params=VARIANTS)
def folder(request, tmp_path):
    """The fixture's folder with some options changed, and other weights where they need them."""
    with torch.serialization.safe_globals([Namespace]):
        state = torch.load(FOLDER / "model.pt", weights_only=True)
    state["cfg"]["model"].update(VARIANTS[request.param])
    if request.param == "untied":
        head = state["model"]["decoder.output_projection.weight"]
        state["model"]["decoder.output_projection.weight"] = head.flip(0).contiguous()
    torch.save(state, tmp_path / "model.pt")
    for name in ("dict.txt", "encoder.json", "vocab.bpe"):
        (tmp_path / name).symlink_to((FOLDER / name).absolute())
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=len)
def test_logits_and_attention_outputs_are_those_of_fairseq(real, folder, row):
    ours = load_fairseq(folder, name="ours", device=torch.device("cpu"), dtype=torch.float32)
    theirs = real.ask(real.load(folder / "model.pt", real.Dictionary.load(str(folder / "dict.txt"))), row)
    last = ours.answer([row[1:]], ours.read_prefix(row[:1]), answer_at=-1, probe_at=-1)
    outputs = torch.tensor(theirs["attention_outputs"])[:, -1]
    torch.testing.assert_close(ours.sequence_logits(row), torch.tensor(theirs["logits"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(last.logits[0], torch.tensor(theirs["logits"])[-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(last.attention_outputs[:, 0], outputs, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_untrained_weights_are_spread_as_fairseq_draws_them(real, folder):
    trained = load_fairseq(folder, name="ours", device=torch.device("cpu"), dtype=torch.float32)
    dictionary, ours, theirs = real.Dictionary.load(str(folder / "dict.txt")), [], []
    for seed in range(4):
        made = real.load(folder / "model.pt", dictionary, trained=False).named_parameters()
        theirs.append({opt_name(name.removeprefix("decoder.")): value for name, value in made})
        made = untrained(trained, "nothing", seed).network.named_parameters()
        ours.append({opt_name(name).removeprefix("model.decoder."): value for name, value in made})
    for name in theirs[0]:
        drawn, wanted = (torch.stack([of[name] for of in side]).detach().numpy() for side in (ours, theirs))
        if name == "embed_tokens.weight" and trained.config.fairseq["scaled"]:
            wanted = wanted * trained.config.hidden_size**0.5
        of_mean = 8 * wanted.std() / wanted.size**0.5
        assert drawn.std() == pytest.approx(wanted.std(), rel=0.2, abs=1e-6), name
        assert drawn.mean() == pytest.approx(wanted.mean(), abs=float(of_mean) + 1e-6), name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "text", ["naïve\u2028two\x0blines", "\n\n", " a\u00a0b ", "1234 567!?", "it'll they'RE", "~\t~"]
)
def test_token_ids_are_those_of_fairseq(real, text):
    ours = load_fairseq(FOLDER, name="ours", device=torch.device("cpu"), dtype=torch.float32).tokens
    bpe = real.get_encoder(FOLDER / "encoder.json", FOLDER / "vocab.bpe")
    assert list(ours.encode(text)) == real.encode(text, bpe, real.Dictionary.load(str(FOLDER / "dict.txt")))[:-1]
