"""Activations as the authors' code wrote them, so that their metric scripts can be run on our models.

One folder a setting (`zs`, `icl`, and one for every other method), with a file `record_info.jsonl` of one JSON object a
query, in the order of the queries: `self_attn_out_hiddens` [layer][hidden], `attn_map` [layer][head][query token],
`gold_label` and `pred_label` (not calibrated).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from torch import Tensor

from icl_claims import errors, metrics

FOLDERS = {"zero_shot": "zs", "in_context": "icl"}
FILE = "record_info.jsonl"


class RecordWriter:
    """Writes every query's activations while a trial runs, and puts them in order when it ends.

    Raises:
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path, gold: Sequence[int], widths: Sequence[int]) -> None:
        self.folder, self.gold, self.widths = folder, gold, widths
        self._files: dict[str, IO[bytes]] = {}
        self._places: dict[str, dict[int, tuple[int, int]]] = {}

    def watch(self, batch: list[int], answers: Mapping[str, metrics.Answer]) -> None:
        """Write the answers to a batch of queries."""
        with self._writing():
            for method, answer in answers.items():
                if answer.scores is not None:
                    self._write(method, batch, answer, answer.scores.cpu())

    def close(self) -> list[Path]:
        """Put the lines of every file in the order of the queries, and return the files."""
        with self._writing():
            return [self._ordered(method, file) for method, file in self._files.items()]

    def _write(self, method: str, batch: list[int], answer: metrics.Answer, maps: Tensor) -> None:
        if method not in self._files:
            made = self.folder / FOLDERS.get(method, method)
            made.mkdir(parents=True, exist_ok=True)
            self._files[method], self._places[method] = (made / f"{FILE}.part").open("w+b"), {}
        file, outputs = self._files[method], answer.attention_outputs.cpu()
        predicted = answer.log_probabilities.argmax(-1).tolist()
        for row, query in enumerate(batch):
            record = {
                "self_attn_out_hiddens": outputs[:, row].tolist(),
                "attn_map": maps[:, :, row, : self.widths[query]].tolist(),
                "gold_label": int(self.gold[query]),
                "pred_label": predicted[row],
            }
            line = json.dumps(record).encode() + b"\n"
            self._places[method][query] = (file.tell(), len(line))
            file.write(line)

    def _ordered(self, method: str, file: IO[bytes]) -> Path:
        part = Path(file.name)
        with file, part.with_suffix("").open("wb") as whole:
            for _, (start, length) in sorted(self._places[method].items()):
                file.seek(start)
                whole.write(file.read(length))
        part.unlink()
        return part.with_suffix("")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            todo = "Name a folder with room: ⟨export_records⟩ DIR."
            raise errors.StoreError(
                f"Activations cannot be written to {self.folder}", got=str(error), todo=todo
            ) from error
