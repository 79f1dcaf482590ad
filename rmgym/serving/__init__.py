"""One reward model for many workers, over HTTP."""
