"""The simulated sample: procedural scenes, a physical camera, documented generator artefacts."""
