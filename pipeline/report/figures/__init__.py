"""The drawings of the report, with matplotlib. Every drawing depends on its arguments alone: the
same input, the same bytes.
"""
