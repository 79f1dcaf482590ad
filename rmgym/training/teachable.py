"""Labels that cannot teach anything."""

from __future__ import annotations

import numpy as np

from rmgym.errors import FeedbackError
from rmgym.feedback.labels import Labels


def check(labels: Labels) -> None:
    """Refuse labels that cannot teach anything.

    Raises:
        FeedbackError: there are fewer than two, or they are all equal.
    """
    ratings, preferences = labels.ratings, labels.preferences
    if len(labels) < 2:
        raise FeedbackError("fitting needs at least two labels", got=len(labels), fix="run 'rmgym label'")
    if ratings is not None and len(ratings) and np.ptp(ratings.values) == 0:
        raise FeedbackError(
            "ratings that are all equal teach nothing (is the true reward of the environment constant?)",
            got=f"{len(ratings)} ratings of {ratings.values[0]:g}",
            fix="rate something else: 'rmgym label --target outcome', or label more varied steps",
        )
    if not (ratings is not None and len(ratings)) and preferences is not None and (preferences.choice == 0.5).all():
        raise FeedbackError(
            "preferences that are all ties teach nothing (do all segments have the same true return?)",
            got=f"{len(preferences)} ties",
            fix="compare something else: 'rmgym label --target outcome', or longer and more varied segments",
        )
