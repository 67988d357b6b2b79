"""The papers whose claims are decided, in the order of the report, and what they contain."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from icl_claims.claims.claim import Paper
from icl_claims.fixtures_folder import fixtures_folder

rethinking = Paper("rethinking", "Rethinking In-Context Learning in Large Language Models as Gradient Descent")
revisited = Paper(
    "revisited", "Understanding In-Context Learning in Large Language Models as Gradient Descent Revisited"
)
dai = Paper("dai", "Dai et al. 2023, Why Can GPT Learn In-Context?")
deutch = Paper("deutch", "Deutch et al. 2024, In-context Learning and Gradient Descent Revisited")
von_oswald = Paper("von_oswald", "von Oswald et al. 2023, Transformers Learn In-Context by Gradient Descent")
akyurek = Paper("akyurek", "Akyürek et al. 2023, What Learning Algorithm Is In-Context Learning?")
irie = Paper("irie", "Irie et al. 2022, The Dual Form of Neural Networks Revisited")
shen = Paper("shen", "Shen et al. 2024, Do Pretrained Transformers Learn In-Context by Gradient Descent?")

PAPERS = {paper.id: paper for paper in (rethinking, revisited, dai, deutch, von_oswald, akyurek, irie, shen)}


def coverage_of_papers(claims: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the papers of some claims contain, sentence by sentence and table by table, in the papers' order.

    Args:
        claims: The records of a run. A claim that no sentence of the list names stands under its own.

    Returns:
        Entries with `paper`, `where`, `what`, `claims` (ids of those that decide it) and `note` (why there is none).
    """
    by_id = {claim["id"]: claim for claim in claims}
    papers = {claim["paper"] for claim in by_id.values()}
    known = json.loads((fixtures_folder() / "coverage.json").read_text(encoding="utf-8"))
    sentences = [(paper, one) for paper, of_paper in known.items() if paper in papers for one in of_paper]
    named = {name for _, one in sentences for name in one["claims"]}
    found = [(paper, one["place"], one["says"], one["claims"], one.get("note", "")) for paper, one in sentences]
    found += [
        (one["paper"], one["where"], one["statement"], [name], "") for name, one in by_id.items() if name not in named
    ]
    fields, order = ("paper", "where", "what", "claims", "note"), list(dict.fromkeys((*known, *papers)))
    return [dict(zip(fields, one, strict=True)) for one in sorted(found, key=lambda one: order.index(one[0]))]
