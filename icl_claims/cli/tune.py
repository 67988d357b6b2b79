"""The commands that find on training examples what a run needs: learning rates, and how a model is prompted."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from icl_claims import protocol
from icl_claims.cli.arguments import AsJson, offers
from icl_claims.experiments.options import chosen, names_of, seeds_of


@offers("tune")
def find_rates(
    seeds: Annotated[
        str, typer.Option(help="Seeds of the draws of demonstrations, with commas.")
    ] = "101,102,103,104,105,106",
    held_out: Annotated[int, typer.Option(help="Training examples answered after each draw.", min=1)] = 40,
    write: Annotated[Path | None, typer.Option(help="File to write instead of the one in the cache.")] = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Find the learning rates of finetuning for a model without published ones.

    Of .001, .003, .01, .03, .1 and .3 it takes, for every task, the rate whose finetuned model is most accurate on
    training examples that are not among its demonstrations, the larger of equals. The queries of the claims are never
    read. The rates are written to the cache, where every later run of this model finds them.

    For example: icl-claims tune --model path:DIR --tasks sst2,cb
    """
    from icl_claims.cli.tuning import tune_and_print

    draws = seeds_of("seeds", seeds)
    tune_and_print(chosen(given), seeds=draws, held_out=held_out, write=write, as_json=as_json)


@offers("tune-prompting")
def find_prompting(
    k: Annotated[str, typer.Option(help="Numbers of demonstrations, with commas.")] = "4,8,16,32",
    separator: Annotated[str, typer.Option(help="What stands between them, with commas.")] = ",".join(
        get_args(protocol.Separator)
    ),
    calibration: Annotated[str, typer.Option(help="Calibrations of the labels, with commas.")] = ",".join(
        get_args(protocol.Calibration)
    ),
    seeds: Annotated[str, typer.Option(help="Seeds of the draws of demonstrations, with commas.")] = ",".join(
        map(str, range(101, 113))
    ),
    held_out: Annotated[int, typer.Option(help="Training examples asked in each draw, at most.", min=1)] = 64,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Find the k, separator and calibration under which a model learns the most tasks in context.

    In each draw, training examples that are not among the demonstrations are answered in context and zero-shot,
    calibrated alike, as many together as a trial asks. A task is learned where accuracy in context is above zero-shot
    and above the most frequent label, each with p at most .05 over draws. The way with the most learned tasks is best;
    of equals, the one with the larger mean margin over the better of the two. The queries of the claims are never read.

    For example: icl-claims tune-prompting --model path:DIR --k 8,16 --separator newline,blank_line
    """
    from icl_claims.cli.tuning import tune_prompting_and_print

    tried: dict[str, tuple[Any, ...]] = {"ks": seeds_of("k", k), "seeds": seeds_of("seeds", seeds)}
    tried |= {"separators": names_of("separator", separator), "calibrations": names_of("calibration", calibration)}
    tune_prompting_and_print(chosen(given), tried=tried, held_out=held_out, as_json=as_json)
