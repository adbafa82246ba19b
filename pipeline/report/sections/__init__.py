"""The sections of the report: texts, tables and drawings of what the stages found."""
