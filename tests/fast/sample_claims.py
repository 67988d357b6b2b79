"""A made-up run with everything that a document of claims can hold. Its numbers come from a seed and mean nothing."""

from __future__ import annotations

import numpy as np

from icl_claims.claims import Comparison, Verdict
from icl_claims.methods import Finetuning, InContext, LayerCausal, Linearized, ZeroShot
from icl_claims.metrics import RANDOM_UPDATE, accuracy, rpa, sim_am, sim_aou
from icl_claims.pytest_plugin.records import verdict_record
from icl_claims.report.document import make_document
from icl_claims.report.verdicts import ON_PRINTED
from icl_claims.tasks.catalogue import TASKS

RUN = {
    "finished": "2026-01-02T03:04:05+00:00",
    "seconds": 372.4,
    "options": {"profile": "embedded", "tasks": "sst2,sst5,mr,subj,agnews,cb"},
    "icl_claims": "0.1.0",
    "python": "3.11.7",
    "machine": "Linux x86_64, 2 CPUs",
    "libraries": {"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.4.6"},
    "commit": "0123456789ab",
}
LAYERS, STEPS = 30, 16
LEARNED = ("finetuning", "layer_causal", "layer_causal_sequential", "layer_causal_clip_12", "linearized")
NULLS = ("random_update", "gaussian_of_finetuning", "other_query_of_finetuning")
PLACES = (
    ("rethinking", "section 1"),
    ("rethinking", "section 3.2, table 2"),
    ("rethinking", "section 3.3, table 1"),
    ("rethinking", "section 3.3, figure 1"),
    ("rethinking", "section 3.4, table 2"),
    ("rethinking", "section 3.4, table 3"),
    ("rethinking", "section 3.5, table 4"),
    ("revisited", "abstract"),
    ("revisited", "section 4.1, table 1"),
    ("revisited", "figure 2"),
    ("deutch", "on the SimAOU metric"),
)
FT, LC = Finetuning(), LayerCausal()
COMPARED = (  # id, question, expected difference
    ("ft-aou-above-random", sim_aou(FT) > sim_aou(RANDOM_UPDATE), 0.12),
    ("ft-am-rises", sim_am(FT) > sim_am(ZeroShot()), 0.06),
    ("lc-aou-5of6", sim_aou(LC) > sim_aou(FT), 0.08),
    ("lc-am-lower", sim_am(LC) < sim_am(FT), -0.15),
    ("icl-beats-ft-acc", accuracy(InContext()) > accuracy(FT), 0.05),
    ("unique-majority", rpa(FT) < 0.5, -0.02),
    ("lin-lower", sim_aou(Linearized()) < sim_aou(FT), 0.0),
)
SOURCES = (("printed", ""), ("author_runs", ""), ("trials", "embedded"), ("trials", "paper"))
KINDS = {"printed": "rounding", "author_runs": "Student's over draws", "trials": "confidence sequence over draws"}


def sample_document(claims=30, seed=0):
    """A document of so many claims, each with up to four records, and every picture."""
    generator = np.random.default_rng(seed)
    records = [record for number in range(claims) for record in _compared(generator, number)]
    records += [record for number in range(claims // 3) for record in _exact(number)]
    coverage = [
        {"paper": "rethinking", "where": "table 2", "what": "SimAOU and SimAM", "claims": ["lc-aou-5of6"], "note": ""},
        {"paper": "rethinking", "where": "figure 2", "what": "A drawing", "claims": [], "note": "nothing to decide"},
    ]
    return make_document(RUN, records, pictures={"embedded": _pictures(generator)}, coverage=coverage)


def sample_finding(**changes):
    """What one task says."""
    finding = {"task": "sst2", "outcome": "holds", "left": 0.5, "right": 0.25, "difference": 0.25, "low": 0.1}
    finding |= {"high": 0.4, "queries": 40, "note": "", "needed": None, "detectable": None, "printed": None}
    return finding | {"null_low": None, "null_high": None} | changes


def compared(question):
    """What a record says of a question that compares two sides."""
    comparison = Comparison(str(question), (), question.upwards, *question.sides)
    return verdict_record(Verdict("supported", "", comparison), {})["quantity"]


def sample_record(name="lc-aou-5of6", **changes):
    """A record with nothing but what every version has."""
    return {
        "id": name,
        "source": "trials",
        "profile": "embedded",
        "paper": "rethinking",
        "where": "section 3.4, table 2",
        "statement": "Layer-causal finetuning has a higher SimAOU than finetuning.",
        "rule": "holds on at least 5 of 6 tasks",
        "condition": "",
        "test": f"claims/rethinking/test_3_4.py::test_{name}[trials]".replace("-", "_"),
        "verdict": "supported",
        "why": "Holds on 1 and fails on 0 of 1 tasks, and 1 are needed.",
        "known_refutation": "",
        "cases": 0,
        "tasks": [sample_finding()],
        "provenance": {},
        **changes,
    }


def _compared(generator, number):
    name, question, expected = COMPARED[number % len(COMPARED)]
    name += f"-{number // len(COMPARED)}" if number >= len(COMPARED) else ""
    paper, where = PLACES[number % len(PLACES)]
    sign = 1 if question.upwards else -1
    for source, profile in SOURCES:
        asks = {"questions": [str(question)], "names": {}, "own": [], "studies": []}
        declared = {"source": source, "profile": profile, "paper": paper, "where": where, "asks": asks, **_rule(number)}
        if profile == "paper":
            absent = [sample_finding(task=task, outcome="absent", note="no CUDA device") for task in TASKS]
            absent = [finding | dict.fromkeys(("left", "right", "difference", "low", "high")) for finding in absent]
            yield sample_record(name, **declared, verdict="not run", why="no CUDA device", tasks=absent)
            continue
        findings = [_finding(generator, task, expected, sign, 0 if source == "printed" else 40) for task in TASKS]
        holds = sum(finding["outcome"] == "holds" for finding in findings)
        fails = sum(finding["outcome"] == "fails" for finding in findings)
        mean = float(np.mean([finding["difference"] for finding in findings]))
        word = "supported" if holds >= 5 else "refuted" if fails > 1 else "inconclusive"
        if source == "trials":
            declared |= _of_trials(number, word)
            word = "vacuous" if word == "supported" and number % 4 == 2 else word
        yield sample_record(
            name,
            **declared,
            statement=f"{question}.",
            verdict=ON_PRINTED.get(word, word) if source == "printed" else word,
            why=f"Holds on {holds} and fails on {fails} of 6 tasks, and 5 are needed.",
            tasks=findings,
            quantity=compared(question),
            effect={"estimate": mean, "low": mean - 0.05, "high": mean + 0.05, "kind": KINDS[source]},
            beside=[_beside(generator, what, expected, sign) for what in ("Gaussian update", "another query's update")],
            would_change="Two of the undecided tasks would have to fall on the other side; about 300 queries tell.",
            provenance=_provenance(source, profile),
        )


def _rule(number):
    seen = "The tables were read before the rule was written." if number % 2 else ""
    return {"rule_digest": "0123456789abcdef" * 4, "rule_since": "2026-01-02", "rule_in_sight": seen}


def _of_trials(number, word):
    """What is known of trials alone."""
    null = {"name": "a Gaussian update", "verdict": word, "exceeded": "undecided", "why": "Holds on 5 of 6 tasks."}
    other = {"name": "another query's update", "verdict": "refuted", "exceeded": "yes", "why": "Fails on 4 of 6 tasks."}
    readings = ("as the code does", "with a bias", "at the template's end", "with other words for the labels")
    return {
        "p": {"supported": 0.0031, "refuted": 0.97},
        "decided_by": "SimAOU of layer-causal finetuning above SimAOU of finetuning" if number % 3 else "",
        "nulls": [null, other],
        "replication": {"groups": 8, "replicates": 16, "words": {word: 7, "not run": 1}},
        "looks": [_look(8, "inconclusive", 0.2), _look(12, word, 0.1)],
        "outlook": {"draws": 40, "seconds": 90.0, "why": ""} if word == "inconclusive" else None,
        "specifications": [
            {"name": name, "verdict": "inconclusive" if place == 2 else word, "default": place == 0}
            for place, name in enumerate(readings)
        ],
    }


def _look(draws, word, width):
    effect = {"estimate": 0.1, "low": 0.1 - width, "high": 0.1 + width, "kind": KINDS["trials"]}
    return {"draws": draws, "verdict": word, "effect": effect}


def _finding(generator, task, expected, sign, queries):
    difference, width = float(generator.normal(expected, 0.07)), 0.002 if not queries else 0.04
    low, high = difference - width, difference + width
    outcome = "unclear" if low < 0 < high else "holds" if difference * sign > 0 else "fails"
    return sample_finding(
        task=task,
        outcome=outcome,
        left=0.3 + difference,
        right=0.3,
        difference=difference,
        low=low,
        high=high,
        queries=queries,
        note="the interval holds 0" if outcome == "unclear" else "",
        needed=310 if outcome == "unclear" else None,
        detectable=0.05 if queries else None,
        printed=expected + 0.02 if queries else None,
        null_low=-0.02 if queries else None,
        null_high=0.02 if queries else None,
        p_holds=(0.0031, 0.97)[difference * sign < 0] if queries else None,
        p_fails=(0.97, 0.0031)[difference * sign < 0] if queries else None,
        replicates=16 if queries else 0,
    )


def _beside(generator, what, expected, sign):
    why = "A similarity says little until the same is asked of chance."
    return {
        "name": f"against a norm-matched {what}",
        "why": why,
        "tasks": [_finding(generator, task, expected / 2, sign, 40) for task in TASKS],
    }


def _provenance(source, profile):
    if source == "printed":
        return {"paper": "rethinking", "file": "fixtures/published/printed_tables.csv"}
    if source == "author_runs":
        return {"runs": ["739958f", "a239606"], "file": "fixtures/published/author_runs.csv"}
    trials = [
        {"task": name, "k": 16, "seed": task.runs[0][0], "permutation": 0, "calibration": "contextual"}
        | {"probe": "label_token", "queries": 40, "model": "embedded", "data": "miniature", "device": "cpu"}
        | {"demonstrations_drawn": 16, "demonstrations_in_context": 16, "context_tokens": 451, "threads": 1}
        | {"finished": "2026-01-02T03:00:00+00:00", "notes": []}
        for name, task in TASKS.items()
    ]
    return {
        "profile": profile,
        "changed": [],
        "learning_rates": "of the profile embedded",
        "model": "embedded",
        "data": "miniature tasks",
        "trials": trials,
    }


def _exact(number):
    declared = {"source": "exact", "profile": "", "where": "section 2.1, equation 1", "tasks": [], "cases": 50}
    declared |= {"statement": "One step of gradient descent is a sum of outer products.", "rule": "holds in every case"}
    why = "Holds in 50 cases; the largest relative deviation is 4e-16."
    name = "dual-delta-w" + (f"-{number}" if number else "")
    yield sample_record(name, **declared, why=why)
    yield sample_record(name, **declared, why=why, condition="a layer without bias")


def _pictures(generator):
    depth = np.linspace(0, 3, LAYERS)
    curve = {method: 0.3 * np.sin(depth + i / 3) ** 2 for i, method in enumerate(LEARNED)}
    curve |= {method: np.full(LAYERS, 0.01 * i) for i, method in enumerate(NULLS)}

    def layers(values, noise):
        return (values + generator.normal(0, noise, LAYERS)).tolist()

    return {
        "changes": {
            task: {
                "shared": {"correct": 12, "incorrect": 3},
                "in_context": {"correct": 9, "incorrect": 5 + i},
                "finetuning": {"correct": 2, "incorrect": i},
            }
            for i, task in enumerate(TASKS)
        },
        "gradient_norms": {
            task: {
                method: [np.exp(layers(slope * depth, 0.3)).tolist() for _ in range(STEPS)]
                for method, slope in (("finetuning", -0.2), ("layer_causal", -1.5))
            }
            for task in TASKS
        },
        "by_layer": {
            task: {
                metric: {method: layers(values, 0.02) for method, values in curve.items()}
                for metric in ("sim_aou", "sim_am", "sim_am_update")
            }
            for task in TASKS
        },
        "clip_sweep": {
            task: [
                {"clip": clip, "sim_aou": 0.05 * i + 0.02 * place, "sim_am": 0.4 - 0.02 * i}
                for i, clip in enumerate((0.2, 1.0, 5.0, 9.0, 12.0, 15.0, None))
            ]
            for place, task in enumerate(TASKS)
        },
        "values": {
            task: {
                "accuracy": {"zero_shot": 0.5, "in_context": 0.8, "finetuning": 0.6},
                "rpa": {"finetuning": 0.3},
                "rpa_correct": {"finetuning": 0.4},
                "rpa_incorrect": {"finetuning": 0.1},
                "sim_aou": dict.fromkeys(("random_update", "finetuning", "layer_causal", "linearized"), 0.21),
                "sim_am": dict.fromkeys(("zero_shot", "finetuning", "layer_causal", "linearized"), 0.43),
            }
            for task in TASKS
        },
    }
