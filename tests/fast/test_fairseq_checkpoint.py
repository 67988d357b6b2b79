"""A fairseq checkpoint is read in both layouts, or refused by name, fast, with none of its code run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
import zipfile
from argparse import Namespace
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.fairseq import read_fairseq_checkpoint

FOLDER = fixtures_folder() / "fairseq"
TEN_GIGABYTES = 10 * 2**30


class Calls:
    """A pickle that calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@contextmanager
def refused(match, todo=""):
    start = time.process_time()
    with pytest.raises(ModelError, match=match) as found:
        yield
    assert time.process_time() - start < 1
    assert todo in str(found.value)


def saved(tmp_path, **state):
    path = tmp_path / "model.pt"
    torch.save({"args": Namespace(decoder_layers=1), "cfg": None, "model": {"w": torch.ones(2)}, **state}, path)
    return path


def rewritten(path, change):
    """The archive again, with `change(name, content)` for the content of every record."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))
    return path


def test_both_layouts_give_the_same_options_and_tensors():
    (cfg, tensors), (args, same) = (read_fairseq_checkpoint(FOLDER / name) for name in ("model.pt", "model_args.pt"))
    assert {**cfg, "task": 0, "arch": 0} == {**args, "task": 0, "arch": 0}
    assert tensors.keys() == same.keys()
    assert all(torch.equal(tensors[name], same[name]) for name in tensors)


def test_options_of_the_model_come_before_those_of_its_task(tmp_path):
    cfg = {"task": {"tokens_per_sample": 8, "seed": 1}, "model": Namespace(tokens_per_sample=9)}
    options, _ = read_fairseq_checkpoint(saved(tmp_path, args=None, cfg=cfg))
    assert options == {"tokens_per_sample": 9, "seed": 1}


@pytest.mark.parametrize("place", ["model", "args", "cfg", "extra_state", "somewhere"])
def test_a_pickle_that_calls_a_function_is_refused_not_run(tmp_path, place):
    proof = tmp_path / "proof"
    path = saved(tmp_path, **{place: {"deep": [{"inside": Calls(os.mkdir, str(proof))}]}})
    with refused(r"was refused, and nothing in it was run: .* got posix.mkdir", todo="keep only its `model`"):
        read_fairseq_checkpoint(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Calls(eval, "1"), "eval"),
        (Calls(getattr, "", "join"), "getattr"),
        (np.float64(1), "numpy"),
        (FOLDER, "pathlib"),
        (pickle.PickleBuffer, "PickleBuffer"),
    ],
    ids=["eval", "getattr", "numpy", "path", "class"],
)
def test_every_other_global_is_refused_by_name(tmp_path, value, name):
    path = saved(tmp_path, extra_state=value)
    with refused(f"was refused.* got .*{name}"):
        read_fairseq_checkpoint(path)


def test_more_than_a_plain_configuration_is_refused(tmp_path):
    path = saved(tmp_path, extra_state={"seen": [{1, 2}]})
    with refused(r"got \['extra_state'\]\['seen'\]\[0\], a set"):
        read_fairseq_checkpoint(path)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        ({"decoder.w": "text"}, r"\['model'\]\['decoder.w'\], a str"),
        ({3: torch.ones(1)}, r"\['model'\]\[3\]"),
        ({"w": torch.ones(4).to_sparse()}, r"was refused.*"),
        ({"w": torch.ones(1).expand(9)}, r"\['model'\]\['w'\], a tensor that is not dense"),
        ({"w": torch.ones(4, dtype=torch.long)}, r"\['model'\]\['w'\], a tensor that is not dense"),
        ({}, "no `model`"),
        ([torch.ones(1)], "no `model`"),
        (None, "no `model`"),
    ],
)
def test_a_model_must_be_a_dictionary_of_dense_tensors(tmp_path, model, match):
    path = saved(tmp_path, model=model)
    with refused(match):
        read_fairseq_checkpoint(path)


@pytest.mark.parametrize("cfg", [None, {}, {"model": 3}, [1]])
def test_a_checkpoint_without_options_is_refused(tmp_path, cfg):
    path = saved(tmp_path, args=None, cfg=cfg)
    with refused("neither `args` .* nor `cfg`"):
        read_fairseq_checkpoint(path)


def test_a_checkpoint_that_is_no_dictionary_is_refused(tmp_path):
    torch.save([1], tmp_path / "model.pt")
    with refused("a list in place of a dictionary"):
        read_fairseq_checkpoint(tmp_path / "model.pt")


def test_a_missing_checkpoint_is_refused(tmp_path):
    with refused("No checkpoint lies at", todo="model.pt and dict.txt"):
        read_fairseq_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("kept", [0, 1, 100, 50_000, -1, -100])
def test_a_truncated_file_is_refused(tmp_path, kept):
    (tmp_path / "model.pt").write_bytes((FOLDER / "model.pt").read_bytes()[:kept])
    with refused("is not a checkpoint that can be read", todo="Download it again"):
        read_fairseq_checkpoint(tmp_path / "model.pt")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    with refused("is not a checkpoint that can be read"):
        read_fairseq_checkpoint(tmp_path)


def test_the_layout_of_torch_before_1_6_is_refused(tmp_path):
    torch.save({"model": {}}, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    with refused("torch 1.6 or newer", todo="saved again"):
        read_fairseq_checkpoint(tmp_path / "model.pt")


def test_a_zip_that_claims_10_gigabytes_is_refused(tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    path.write_bytes(bytes(content))
    with refused("records that claim 4294967"):
        read_fairseq_checkpoint(path)


def test_compressed_records_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("model/data/0", bytes(50 * 2**20))
    with refused("records that claim 5242"):
        read_fairseq_checkpoint(path)


@pytest.mark.parametrize("marker", [b"K\x02\x85", b"K\x02t"], ids=["the tensor", "its storage"])
def test_a_tensor_that_claims_10_gigabytes_is_refused(tmp_path, marker):
    claimed = b"\x8a\x05" + TEN_GIGABYTES.to_bytes(5, "little")

    def claim(name, content):
        return content.replace(marker, claimed + marker[-1:]) if name.endswith("data.pkl") else content

    path = rewritten(saved(tmp_path), claim)
    with refused("is not a checkpoint that can be read"):
        read_fairseq_checkpoint(path)


def test_a_pickle_of_many_megabytes_is_refused_unread(tmp_path):
    path = rewritten(saved(tmp_path), lambda name, content: content + bytes(5 * 2**20 * name.endswith("data.pkl")))
    with refused("1 pickles of 524"):
        read_fairseq_checkpoint(path)


def test_an_archive_without_a_pickle_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/version", "3")
    with refused("0 pickles"):
        read_fairseq_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"garbage", pickle.dumps({"model": 1}, protocol=5)])
def test_a_damaged_pickle_is_refused(tmp_path, content):
    path = rewritten(saved(tmp_path), lambda name, old: content if name.endswith("data.pkl") else old)
    with refused("is not a checkpoint that can be read"):
        read_fairseq_checkpoint(path)


def test_configuration_nested_in_itself_is_read_in_a_moment(tmp_path):
    laughs = ["ha"]
    for _ in range(60):
        laughs = [laughs] * 10
    laughs.append(laughs)
    start = time.process_time()
    assert read_fairseq_checkpoint(saved(tmp_path, extra_state=laughs))[0] == {"decoder_layers": 1}
    assert time.process_time() - start < 1


def test_tensors_keep_their_values_while_the_file_is_open(tmp_path):
    buffer = io.BytesIO()
    torch.save({"args": Namespace(), "model": {"w": torch.arange(3.0)}}, buffer)
    (tmp_path / "model.pt").write_bytes(buffer.getvalue())
    assert read_fairseq_checkpoint(tmp_path / "model.pt")[1]["w"].tolist() == [0, 1, 2]
