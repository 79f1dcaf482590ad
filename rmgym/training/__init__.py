"""Labels make a reward model: losses, batches, the trainer."""

from rmgym.training.fitting import FitResult as FitResult
from rmgym.training.fitting import fit as fit
from rmgym.training.options import FitOptions as FitOptions
