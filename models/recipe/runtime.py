"""ONNX Runtime as falld runs it (`src/classifier/ort/network.rs`)."""

import onnxruntime as ort


def session(model, threads=1):
    """A session of a file, or of a model's bytes, on so many threads of the processor."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # x86 processors without VNNI add products of u8 and s8 in 16 bits, which overflow; so told, ONNX Runtime multiplies u8 by u8 there,
    # which cannot. Elsewhere it changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, ["CPUExecutionProvider"])
