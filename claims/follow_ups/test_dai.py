"""Dai et al. 2023: the results that both papers start from. Their momentum attention needs pretraining: left out."""

from icl_claims.claims import ON_AVERAGE, Asked, dai, nulls_of
from icl_claims.metrics import DEMONSTRATION_LENGTHS, RANDOM_UPDATE, accuracy, kendall, rec2ftp, sim_am, sim_aou

from ..quantities import FT, ICL, LC, LOWER_HALF, LOWER_LAYERS, UPPER_HALF, UPPER_LAYERS, ZSL


@dai.claim("icl-and-ft-beat-zsl", where="table of validation accuracies", on="printed trials")
def test_icl_and_finetuning_are_more_accurate_than_zero_shot() -> Asked:
    """Both in-context learning and finetuning are more accurate than zero-shot."""
    return (accuracy(ICL) > accuracy(ZSL)) & (accuracy(FT) > accuracy(ZSL))


@dai.claim("rec2ftp-above-85", where="table of Rec2FTP", rule=ON_AVERAGE, on="printed author_runs trials")
def test_icl_recalls_most_corrections_of_finetuning_on_average() -> Asked:
    """On average over tasks, in-context learning answers right more than 85 % of the queries that finetuning
    corrects.
    """
    return rec2ftp(FT) > 0.85


@dai.claim("kendall-training-tokens", where="table of Kendall rank correlations", on="trials")
def test_icl_and_finetuning_rank_demonstrations_alike() -> Asked:
    """In-context learning and finetuning rank the demonstrations by the attention that they give to them more alike
    than chance would have it.
    """
    return (
        kendall(FT) > kendall(RANDOM_UPDATE),
        kendall(FT) > kendall(ZSL),
        kendall(ZSL) > kendall(RANDOM_UPDATE),
        kendall(FT) > kendall(DEMONSTRATION_LENGTHS),
        kendall(LC) > kendall(RANDOM_UPDATE),
    )


@dai.claim("later-layers-more-similar", where="figure of SimAOU by layer", on="author_runs trials")
def test_later_layers_are_more_similar() -> Asked:
    """In-context learning and finetuning move attention outputs more alike in later layers than in earlier ones."""
    return (
        sim_aou(FT).at(UPPER_HALF) > sim_aou(FT).at(LOWER_HALF),
        sim_aou(FT).at(UPPER_LAYERS) > sim_aou(FT).at(LOWER_LAYERS),
        sim_am(FT).at(UPPER_HALF) > sim_am(FT).at(LOWER_HALF),
        *nulls_of(sim_aou(FT).at(UPPER_HALF)),
    )
