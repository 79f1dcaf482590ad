"""Is the learned reward right? Numbers for it; needs only NumPy and SciPy."""

from rmgym.metrics.aggregates import optimality_gap as optimality_gap
from rmgym.metrics.aggregates import over_optimisation as over_optimisation
from rmgym.metrics.aggregates import performance_profile as performance_profile
from rmgym.metrics.aggregates import probability_of_improvement as probability_of_improvement
from rmgym.metrics.aggregates import selection_regret as selection_regret
from rmgym.metrics.aggregates import steps_to_threshold as steps_to_threshold
from rmgym.metrics.aggregates import trajectory_alignment as trajectory_alignment
from rmgym.metrics.distances import dard_distance as dard_distance
from rmgym.metrics.distances import epic_distance as epic_distance
from rmgym.metrics.distances import starc_distance as starc_distance
from rmgym.metrics.gaming import gamed_since as gamed_since
from rmgym.metrics.ranking import order_agreement as order_agreement
from rmgym.metrics.ranking import pair_accuracy as pair_accuracy
from rmgym.metrics.ranking import pearson as pearson
from rmgym.metrics.ranking import r_squared as r_squared
from rmgym.metrics.ranking import spearman as spearman
from rmgym.metrics.statistics import Interval as Interval
from rmgym.metrics.statistics import Sample as Sample
from rmgym.metrics.statistics import interquartile_mean as interquartile_mean
from rmgym.metrics.statistics import mean_ci as mean_ci
from rmgym.metrics.statistics import normalised_score as normalised_score
from rmgym.metrics.statistics import order_ci as order_ci
from rmgym.metrics.statistics import share_ci as share_ci

__all__ = [
    "Interval",
    "Sample",
    "dard_distance",
    "epic_distance",
    "gamed_since",
    "interquartile_mean",
    "mean_ci",
    "normalised_score",
    "optimality_gap",
    "order_agreement",
    "order_ci",
    "over_optimisation",
    "pair_accuracy",
    "pearson",
    "performance_profile",
    "probability_of_improvement",
    "r_squared",
    "selection_regret",
    "share_ci",
    "spearman",
    "starc_distance",
    "steps_to_threshold",
    "trajectory_alignment",
]
