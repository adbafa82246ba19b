"""The simulated world of the sample: procedural scenes, a physical camera, and documented generator
artefacts.
"""
