"""The figures of the report, with matplotlib: the same arguments give the same bytes."""
