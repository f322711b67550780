from .basis.rotations import ROTATIONS, rotated_values, rotation_obstacle
from .basis.scores import score_rows, score_values
from .basis.tokens import TokenMetric, token_metric
from .bounds import MIN_SEEDS, Specificity, ViolationRate, compare_with_seeds, specificity, violation_rate
from .dependence.factors import Explained, explained, governing_factors, omega_squared
from .dependence.intervals import Influence, governed_estimate, influence
from .dependence.tails import HEAVY, tail_ratio
from .formulas import observations, row_quantiles
from .group_moments import CERTIFIED, SMILE, grade
from .jackknife import LEVEL, Replicates, contexts_needed, effective_contexts, jackknife_estimate
from .kernels import PairGroup
from .layer_profile import profile_layers
from .measurement import MIN_CLUSTERS, Distribution, Measurement, distribution_of, measure
from .nulls import null_value
from .offset import Attribution, OffsetParts, attribute, decompose, offset_loadings
from .registry import PairStatistic, RowStatistic, Statistic, register_statistic, statistic_named, statistics_by_name
from .sample import Rows, Sample
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
from .streaming import Moments, accumulate, summarise_moments

__all__ = [
    "CERTIFIED",
    "HEAVY",
    "KERNEL_VARIABLE",
    "LEVEL",
    "MIN_CLUSTERS",
    "MIN_SEEDS",
    "ROTATIONS",
    "SMILE",
    "Attribution",
    "Distribution",
    "Explained",
    "GroupSummary",
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
    "TokenMetric",
    "ViolationRate",
    "accumulate",
    "attribute",
    "compare_with_seeds",
    "contexts_needed",
    "decompose",
    "distribution_of",
    "effective_contexts",
    "explained",
    "governed_estimate",
    "governing_factors",
    "grade",
    "influence",
    "jackknife_estimate",
    "kernel_named",
    "measure",
    "null_value",
    "numba_obstacle",
    "observations",
    "offset_loadings",
    "omega_squared",
    "profile_layers",
    "register_statistic",
    "rotated_values",
    "rotation_obstacle",
    "row_quantiles",
    "row_similarities",
    "score_rows",
    "score_values",
    "specificity",
    "split_group",
    "statistic_named",
    "statistics_by_name",
    "summarise_group",
    "summarise_groups",
    "summarise_moments",
    "tail_ratio",
    "token_metric",
    "unit_columns",
    "violation_rate",
]
