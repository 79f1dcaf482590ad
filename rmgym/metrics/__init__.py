"""Is the learned reward right? Numbers for it; needs only NumPy and SciPy."""

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
from rmgym.metrics.statistics import share_ci as share_ci

__all__ = [
    "Interval",
    "Sample",
    "gamed_since",
    "interquartile_mean",
    "mean_ci",
    "normalised_score",
    "order_agreement",
    "pair_accuracy",
    "pearson",
    "r_squared",
    "share_ci",
    "spearman",
]
