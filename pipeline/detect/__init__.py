"""Picture files and pictures scored by a trained detector: a command and a Python interface."""
