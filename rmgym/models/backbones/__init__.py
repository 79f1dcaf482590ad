"""Pretrained language models: where their weights are, how they are loaded, tuned and shared."""
