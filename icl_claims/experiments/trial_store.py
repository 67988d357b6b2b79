"""The store of trials: each method's numbers are found wherever a trial of the same setting holds them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from icl_claims.experiments.description import as_plain, described_metric
from icl_claims.experiments.result import Entry, TrialResult, packed_result, unpacked_result
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.methods import pairs
from icl_claims.metrics import BY_LAYER
from icl_claims.storage import checksummed, store

Need = tuple[str, str, str]
"""The numbers of a method, compared with that of the second name, by a metric of the reader's own or one of ours."""
OURS, DIAGNOSTICS = "", "diagnostics/"
Run = Callable[[TrialSpec], TrialResult]
Record = Mapping[str, Any]
_BY_METHOD = ("log_probabilities", "content_free", "gradient_norms", "drift", "losses", "failures")
_BY_ENTRY = ("by_layer", "over_queries")
_WHERE = ("device", "threads", "torch")


class TrialStore:
    """Caches results, so that no method's numbers are made twice, by any number of processes; by default in the cache.

    Where trials of the same setting hold a part of what is asked for, only the methods that are missing learn and
    answer, with zero-shot and in-context learning, and whatever else they are compared with: activations are not kept.
    Results that were written before `since` are run again.
    """

    def __init__(self, folder: Path | None = None, *, since: datetime | None = None) -> None:
        self._store = store.Store(folder or store.default_store(), since=since)

    def get_or_run(self, spec: TrialSpec, run: Run, along: TrialSpec | None = None) -> TrialResult:
        """The result of a trial, run now as far as it never was; other processes wait for it meanwhile.

        What is missing is given to `run` as a trial of its own, with what is missing of another trial `along` with it.
        """
        found = self._found(spec) or self._run(spec, run, along or spec, wait=True)
        assert found is not None, "who waits gets the lock"
        return found

    def get_or_run_unless_busy(self, spec: TrialSpec, run: Run, along: TrialSpec | None = None) -> TrialResult | None:
        """The same, but None if another process is running something of it."""
        return self._found(spec) or self._run(spec, run, along or spec, wait=False)

    def missing(self, spec: TrialSpec) -> TrialSpec | None:
        """The trial that would have to be run; None if everything is cached, which is not checked."""
        lacking = _needs(spec)
        for key in self._store.group(spec.key()):
            lacking -= _held(spec, (self._store.facts(key) or {}).get("spec", {}))
        return _rest(spec, lacking)

    def holds(self, spec: TrialSpec) -> bool:
        """Whether all of a trial was run before."""
        return self.missing(spec) is None

    def checkpoint(self, spec: TrialSpec) -> checksummed.Checkpoint | None:
        """Checkpoint of a trial, for the process running it; None if the store is not writable."""
        return self._store.checkpoint(spec.key())

    def _found(self, spec: TrialSpec) -> TrialResult | None:
        """The result, if all of it is there and whole."""
        lacking, used = _needs(spec), list[store.Content]()
        for key in self._store.group(spec.key()):
            held = lacking & _held(spec, (self._store.facts(key) or {}).get("spec", {}))
            if held and (content := self._store.read(key)) is not None:
                lacking -= held
                used.append(content)
            if not lacking:
                return gathered(spec, used)
        return None

    def _run(self, spec: TrialSpec, run: Run, along: TrialSpec, *, wait: bool) -> TrialResult | None:
        with self._store.locked(spec.key(), wait=wait) as mine:
            if not mine:
                return None
            contents = [found for key in self._store.group(spec.key()) if (found := self._store.get(key)) is not None]
            for wider in (along, spec):  # the first may have another method of a name
                rest = _rest(wider, _lacking(wider, contents))
                if rest is not None and _lacking(spec, contents):
                    contents.append(packed_result(rest, run(rest)))
                    self._store.put(rest.key(), contents[-1])
            return gathered(spec, contents)


def _lacking(spec: TrialSpec, contents: Iterable[store.Content]) -> set[Need]:
    return _needs(spec).difference(*(_held(spec, facts["spec"]) for facts, _ in contents))


def _needs(spec: TrialSpec) -> set[Need]:
    """Everything that a trial measures."""
    alone = [(method.name, "") for method in spec.answering]
    compared = [(one.name, other.name) for one, other in pairs(spec.answering) if other != IN_CONTEXT]
    measured = (OURS, *(metric.name for metric in spec.metrics))
    diagnosed = {(method.name, "", DIAGNOSTICS) for method in spec.answering if spec.diagnoses(method)}
    return {(*names, by) for names in (*alone, *compared) for by in measured} | diagnosed


def _held(spec: TrialSpec, stored: Record) -> set[Need]:
    """What a stored trial of the same setting holds of it."""
    if not stored:
        return set()
    names, metrics = {*_same_methods(spec, stored), ""}, _same_metrics(spec, stored)
    return {need for need in _needs(spec) if names.issuperset(need[:2]) and need[2] in metrics}


def _same_methods(spec: TrialSpec, stored: Record) -> set[str]:
    """The names of the methods of a trial that a stored one has, too, with the same parameters."""
    there = stored["methods"]
    return {ZERO_SHOT.name, IN_CONTEXT.name} | {m.name for m in spec.methods if as_plain(m) in there}


def _same_metrics(spec: TrialSpec, stored: Record) -> set[str]:
    diagnosed = {DIAGNOSTICS} if stored["diagnostics"] else set[str]()
    seen = (metric for metric in spec.metrics if diagnosed or not (spec.diagnostics and metric.of_diagnostics))
    return {OURS, *diagnosed} | {metric.name for metric in seen if described_metric(metric) in stored["metrics"]}


def _rest(spec: TrialSpec, lacking: set[Need]) -> TrialSpec | None:
    """The trial of what is missing of another one; None if nothing is."""
    if not lacking:
        return None
    names, measured = {name for need in lacking for name in need[:2]}, {by for *_, by in lacking}
    own = tuple(metric for metric in spec.metrics if metric.name in measured)
    inside = DIAGNOSTICS in measured or any(metric.of_diagnostics for metric in own)
    methods = tuple(method for method in spec.methods if method.name in names)
    return replace(spec, methods=methods, metrics=own, diagnostics=inside and spec.diagnostics)


def gathered(spec: TrialSpec, contents: Iterable[store.Content]) -> TrialResult:
    """The result of a trial from stored ones of its setting; what two of them hold is taken from the first.

    Raises:
        StoreError: A part is missing.
    """
    groups: dict[str, dict[Any, Any]] = {group: {} for group in (*_BY_METHOD, *_BY_ENTRY)}
    used = list[TrialResult]()
    for content in contents:
        part, stored = unpacked_result(spec, content), content[0]["spec"]
        names = _same_methods(spec, stored) - groups["failures"].keys()
        wanted, answered = _wanted(spec, stored, names), groups["log_probabilities"].keys()
        new = {
            group: {name: value for name, value in getattr(part, group).items() if name not in held and wanted(name)}
            for group, held in groups.items()
        }
        new["failures"] = {name: why for name, why in new["failures"].items() if name not in answered}
        if any(new.values()):
            used.append(part)
        groups = {group: held | new[group] for group, held in groups.items()}
    seconds = {what: spent for part in reversed(used) for what, spent in part.seconds.items()}
    names = {method.name for method in spec.answering}
    changes: dict[str, Any] = {group: _in_order(spec, held) for group, held in groups.items()}
    changes["seconds"] = {what: s for what, s in seconds.items() if " " not in what or what.split()[-1] in names}
    return replace(used[0], **changes, provenance=_provenance([part.provenance for part in used]))


def _wanted(spec: TrialSpec, stored: Record, names: set[str]) -> Callable[[Any], bool]:
    """Whether numbers of a stored trial are of these methods and belong to the trial, by their name in a group."""
    metrics = {metric.name: metric for metric in spec.layer_metrics}
    measured = {metric.name for metric in BY_LAYER} | _same_metrics(spec, stored)
    diagnosed = {method.name for method in spec.answering if spec.diagnoses(method)}
    owners = {named.name: IN_CONTEXT.name for named in spec.named}  # a baseline is measured of in-context learning
    owners |= {method.name: method.name for method in spec.answering}
    owners |= {null.name: null.of.name for null in spec.nulls}

    def wanted(name: Any) -> bool:
        if not isinstance(name, Entry):
            return name in names
        if name.metric not in measured or name.method not in owners:
            return False
        owner, inside = owners[name.method], metrics[name.metric].of_diagnostics
        return names.issuperset((owner, name.reference)) and (owner in diagnosed or not inside)

    return wanted


def _in_order(spec: TrialSpec, held: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same numbers in the order of the specification, however many trials they are from."""
    places = {named.name: place for place, named in enumerate((*spec.named, *spec.layer_metrics))}
    parts = {name: (name.method, name.reference, name.metric) if isinstance(name, Entry) else (name,) for name in held}
    return {name: held[name] for name in sorted(held, key=lambda name: [places[part] for part in parts[name]])}


def _provenance(of_parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Where and with what all parts were run; a note says so where they were not run alike."""
    if len(of_parts) == 1:
        return of_parts[0]
    notes = list(dict.fromkeys(note for one in of_parts for note in one["notes"]))
    ran = dict.fromkeys(", ".join(f"{name} {one[name]}" for name in _WHERE) for one in of_parts)
    if len(ran) > 1:
        notes.append(f"some methods were run with {', others with '.join(ran)}")
    return {**of_parts[0], "notes": notes, "finished": max(one["finished"] for one in of_parts)}
