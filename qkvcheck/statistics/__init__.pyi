from .basis.rotations import ROTATIONS, rotated_values, rotation_obstacle
from .basis.scores import score_rows, score_values
from .basis.tokens import TokenMetric, token_metric
from .bounds import MIN_SEEDS, Specificity, ViolationRate, compare_with_seeds, specificity, violation_rate
from .dependence.factors import Explained, explained, governing_factors, omega_squared
from .dependence.intervals import Influence, governed_estimate, influence
from .dependence.tails import HEAVY, tail_ratio
from .formulas import observations, row_mean, row_quantiles
from .further.discriminant import permutation_test
from .further.row_checks import TOP, participation, row_mean_without, standardised_row_mean, top_dimensions
from .further.two_way import noise_token_minus_context, two_way_estimate
from .further.unimodal import dip, dip_obstacle, sampled_similarities
from .group_moments import CERTIFIED, SMILE, GroupMoments, grade
from .jackknife import LEVEL, Replicates, contexts_needed, effective_contexts, jackknife_estimate
from .kernels import PairGroup
from .layer_profile import profile_layers
from .many.grouping import GROUPS, Grouping
from .many.limits import MANY, PAIRED, PICTURED, SCORED, SEED, drawn_rows
from .many.progress import Work, duration_text, each, listening, progress_text, work
from .many.row_sums import mean_similarities_by
from .measurement import MIN_CLUSTERS, Distribution, Measurement, SummedRows, SummedSample, distribution_of, measure
from .nulls import null_value
from .offset import Attribution, OffsetParts, attribute, decompose, offset_loadings
from .registered.identity import right_names
from .registry import PairStatistic, RowStatistic, Statistic, register_statistic, statistic_named, statistics_by_name
from .sample import Rows, Sample, parts_of, same_everywhere, too_few
from .similarity import (
    KERNEL_VARIABLE,
    GroupSummary,
    kernel_named,
    numba_obstacle,
    row_similarities,
    split_group,
    summarise_group,
    summarise_groups,
    unit_columns,
)
from .streaming import Moments, accumulate, merge, moments_of, offset_loadings_of, similarity_tile, summarise_moments

__all__ = [
    "CERTIFIED",
    "GROUPS",
    "HEAVY",
    "KERNEL_VARIABLE",
    "LEVEL",
    "MANY",
    "MIN_CLUSTERS",
    "MIN_SEEDS",
    "PAIRED",
    "PICTURED",
    "ROTATIONS",
    "SCORED",
    "SEED",
    "SMILE",
    "TOP",
    "Attribution",
    "Distribution",
    "Explained",
    "GroupMoments",
    "GroupSummary",
    "Grouping",
    "Influence",
    "Measurement",
    "Moments",
    "OffsetParts",
    "PairGroup",
    "PairStatistic",
    "Replicates",
    "RowStatistic",
    "Rows",
    "Sample",
    "Specificity",
    "Statistic",
    "SummedRows",
    "SummedSample",
    "TokenMetric",
    "ViolationRate",
    "Work",
    "accumulate",
    "attribute",
    "compare_with_seeds",
    "contexts_needed",
    "decompose",
    "dip",
    "dip_obstacle",
    "distribution_of",
    "drawn_rows",
    "duration_text",
    "each",
    "effective_contexts",
    "explained",
    "governed_estimate",
    "governing_factors",
    "grade",
    "influence",
    "jackknife_estimate",
    "kernel_named",
    "listening",
    "mean_similarities_by",
    "measure",
    "merge",
    "moments_of",
    "noise_token_minus_context",
    "null_value",
    "numba_obstacle",
    "observations",
    "offset_loadings",
    "offset_loadings_of",
    "omega_squared",
    "participation",
    "parts_of",
    "permutation_test",
    "profile_layers",
    "progress_text",
    "register_statistic",
    "right_names",
    "rotated_values",
    "rotation_obstacle",
    "row_mean",
    "row_mean_without",
    "row_quantiles",
    "row_similarities",
    "same_everywhere",
    "sampled_similarities",
    "score_rows",
    "score_values",
    "similarity_tile",
    "specificity",
    "split_group",
    "standardised_row_mean",
    "statistic_named",
    "statistics_by_name",
    "summarise_group",
    "summarise_groups",
    "summarise_moments",
    "tail_ratio",
    "token_metric",
    "too_few",
    "top_dimensions",
    "two_way_estimate",
    "unit_columns",
    "violation_rate",
    "work",
]
