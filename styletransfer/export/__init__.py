"""Networks as ONNX graphs, which run without Python and torch, checked against the program."""
