"""Why a command ends before it has scored anything, with its exit status."""

from pipeline.base.errors import PipelineError

FINE, SOME_UNREADABLE, USAGE, NO_MODEL, STOPPED = range(5)  # exit statuses


class Unusable(PipelineError):
    """What was asked for cannot be done."""

    status = USAGE


class UnusableRate(Unusable):
    """A false alarm rate that the calibration photographs cannot support."""


class NoModel(Unusable):
    """A folder without a trained model, or with one that cannot be used."""

    status = NO_MODEL
