"""Is the learned reward right? Numbers for it; needs only NumPy and SciPy."""

from rmgym.metrics.ranking import pair_accuracy as pair_accuracy
from rmgym.metrics.ranking import pearson as pearson
from rmgym.metrics.ranking import r_squared as r_squared
from rmgym.metrics.ranking import spearman as spearman
from rmgym.metrics.statistics import Interval as Interval
from rmgym.metrics.statistics import bootstrap_ci as bootstrap_ci
from rmgym.metrics.statistics import interquartile_mean as interquartile_mean
from rmgym.metrics.statistics import normalised_score as normalised_score
