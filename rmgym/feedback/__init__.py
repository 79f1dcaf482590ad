"""Who says so? Ratings and preferences: where they come from and where they are kept."""
