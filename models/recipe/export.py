"""Step `export`: ONNX files in float, straight from PyTorch. `quantise.py` makes the shipped encoder of them."""

from pathlib import Path

import onnx
import torch

import config
from nets.encoder import Encoder
from nets.head import folded
from quantise import shorten


def _write(net, inputs, names, outputs, path, batch):
    torch.onnx.export(net, inputs, str(path), input_names=names, output_names=outputs, opset_version=config.OPSET,
                      dynamic_axes={n: {0: batch} for n in names + outputs}, dynamo=False)
    model = onnx.load(path)
    model.ir_version = min(model.ir_version, 8)  # ONNX Runtime 1.17 reads up to 9
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def encoder(pose, path, aloft=None):
    """`frame`, `previous` u8 (batch,H,W,3) -> `people`, `scene`; float weights. `aloft`: as for `Encoder`."""
    net = Encoder(pose.to(memory_format=torch.contiguous_format), aloft).eval()
    shape = (2, config.HEIGHT, config.WIDTH, 3)
    example = tuple(torch.randint(0, 256, shape, dtype=torch.uint8) for _ in range(2))
    return _write(net, example, ["frame", "previous"], ["people", "scene"], Path(path), "batch")


def head(net, path, embedding=0):
    """`person`, `scene`, `mask` -> `logits`; any number of rows. `embedding`: numbers of a person that stand behind F."""
    example = (torch.rand(3, config.TICKS, config.FEATURES + embedding), torch.rand(3, config.TICKS, config.SCENE), torch.ones(3, config.TICKS, 2))
    path = _write(folded(net), example, ["person", "scene", "mask"], ["logits"], Path(path), "rows")
    onnx.save(shorten(onnx.load(path), weights=False), path)  # `nets.head.exported` knows them by their names
    return path
