"""ONNX Runtime as falld runs it (`src/classifier/ort/network.rs`)."""

import platform
from pathlib import Path

import onnxruntime as ort


def sums_overflow():
    """True for x86 processors without VNNI: ONNX Runtime adds products of u8 and s8 in 16 bits there, which overflow."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    facts = Path("/proc/cpuinfo")
    flags = facts.read_text().split() if facts.exists() else []
    return "avx512_vnni" not in flags and "avx_vnni" not in flags


def session(model, threads=1):
    """A session of a file, or of a model's bytes, on so many threads of the processor."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if sums_overflow():
        # Products of u8 and u8, which cannot overflow, and take longer.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, ["CPUExecutionProvider"])
