"""The verbs: each module is one stage of dvc.yaml; it reads, calls and writes, and no module
imports it.
"""
