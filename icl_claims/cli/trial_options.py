"""The command `icl-claims trial`: every parameter of a trial, and what it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icl_claims.cli.arguments import (
    AsJson,
    DataFolder,
    DemonstrationCount,
    DeviceName,
    DtypeName,
    ModelReference,
    ProfileName,
    RatesFile,
    choices_of,
)

CALIBRATION = (
    "contextual: label words' probabilities are divided by those after queries without content (Zhao et al. 2021); or "
    "none; default: the profile's (embedded: contextual, tiny and paper: none)."
)


def trial(
    task: Annotated[str, typer.Option(help="sst2, sst5, mr, subj, agnews, cb, several with commas, or all.")],
    profile: ProfileName = "embedded",
    model: ModelReference = None,
    data: DataFolder = None,
    k: DemonstrationCount = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the draw of demonstrations; default: the profile's first.", min=0)
    ] = None,
    permutation: Annotated[int, typer.Option(help="Of the demonstrations; 0 leaves their order.", min=0, max=4)] = 0,
    queries: Annotated[int | None, typer.Option(help="Queries asked, at most; default: the profile's.", min=1)] = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Compared with in-context learning: names with commas, as `icl-claims studies` has them, or all."
        ),
    ] = "finetuning",
    learning_rate: Annotated[
        float | None, typer.Option(help="Of finetuning; default: the task's in the rates.", min=0.0)
    ] = None,
    loss: Annotated[
        str, typer.Option(help="Tokens that are learned: all_tokens (authors' code) or label_only.")
    ] = "all_tokens",
    clip: Annotated[float | None, typer.Option(help="Norm at which gradients are clipped; default: none.")] = None,
    clip_norm: Annotated[
        str, typer.Option(help="global_l2 (authors' code), layer_l2, l_inf (paper's words) or finetuning.")
    ] = "global_l2",
    weights: Annotated[
        str, typer.Option(help="trained, or an untrained model that keeps embeddings_norms_head, norms or nothing.")
    ] = "trained",
    probe: Annotated[
        str, typer.Option(help="label_token (authors' code) or template_end (paper's words).")
    ] = "label_token",
    truncation: Annotated[
        str, typer.Option(help="in_context (authors' code: finetuning sees all k) or both.")
    ] = "in_context",
    order: Annotated[
        str, typer.Option(help="Of finetuning under a permutation: authors (another one) or same.")
    ] = "authors",
    random_baseline: Annotated[
        str, typer.Option(help="What is drawn at random: update (authors' code) or state (paper's words).")
    ] = "update",
    agreement: Annotated[
        str, typer.Option(help="Shared changes: same_label (authors' code) or changed (paper's words).")
    ] = "same_label",
    calibration: Annotated[str | None, typer.Option(help=CALIBRATION)] = None,
    diagnostics: Annotated[
        bool, typer.Option(help="Also the logit lens, and the attention to the demonstrations.")
    ] = True,
    export_records: Annotated[
        Path | None, typer.Option(help="Folder that gets all activations, in the layout of the authors' code.")
    ] = None,
    device: DeviceName = "auto",
    dtype: DtypeName = "float32",
    rates: RatesFile = None,
    as_json: AsJson = False,
) -> None:
    """Run trials: every method learns from the same demonstrations and answers the same queries.

    Zero-shot and in-context learning are in every trial. `--methods all` runs every method and control, and models
    with untrained weights, too.

    For example: icl-claims trial --task sst2 --k 8 --queries 32 --methods finetuning,layer_causal,linearized
    """
    from icl_claims.cli.trial import EVERYTHING, TrialArguments, run_and_print

    chosen = choices_of(
        profile=profile,
        model=model,
        data=data,
        tasks=None if task == EVERYTHING else task,
        k=k,
        queries=queries,
        device=device,
        dtype=dtype,
        rates=rates,
    )
    arguments = TrialArguments(
        methods=methods,
        seed=seed,
        permutation=permutation,
        learning_rate=learning_rate,
        loss=loss,
        clip=clip,
        clip_norm=clip_norm,
        weights=weights,
        probe=probe,
        truncation=truncation,
        order=order,
        random_baseline=random_baseline,
        agreement=agreement,
        calibration=calibration,
        diagnostics=diagnostics,
        records=export_records,
    )
    run_and_print(chosen, arguments, as_json=as_json)
