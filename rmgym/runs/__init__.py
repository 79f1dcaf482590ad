"""What a run is, and what it leaves in its folder."""
