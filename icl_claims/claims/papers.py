"""The papers whose claims are decided, in the order of the report."""

from __future__ import annotations

from icl_claims.claims.claim import Paper

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
