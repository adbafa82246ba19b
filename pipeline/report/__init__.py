"""The report: figures, sections, and the page they make."""
