"""The one exception that a person at the terminal is meant to read."""


class PipelineError(Exception):
    """Bad input or a bad parameter: the message says what is wrong, where, and what to do."""
