"""Asking a language model how good steps are: prompts, clients, answers kept on disk, a measured reliability."""
