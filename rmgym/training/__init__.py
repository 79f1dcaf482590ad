"""Labels make a reward model: losses, batches, the trainer."""

from rmgym.training.fit_options import FitOptions as FitOptions
from rmgym.training.fitting import FitResult as FitResult
from rmgym.training.fitting import fit as fit

__all__ = ["FitOptions", "FitResult", "fit"]
