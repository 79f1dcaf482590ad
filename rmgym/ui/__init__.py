"""What other processes and people talk to: the score server."""
