"""What a policy is worth: both returns on the same held-out episodes."""
