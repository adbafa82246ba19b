"""The whole detector as one ONNX file, with a model card."""
