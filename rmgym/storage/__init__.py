"""Files that are old or new and never half written, locks that die with their holder, and what wrote them."""
