"""Step `pruning`: the teacher pruned to several widths: what least squares alone leaves, and what a short training wins back.

    python pruning_ratios.py --lab LAB --data DATA --teacher movenet.tflite --renders RENDERS

Widths are shares of those that ship, so path and heads, which all have in full, set a floor to the cost.
"""

import config
from bundle import calibration
from encoder_trial import Trial, parser, write
from nets import encoder
from nets.movenet import FULL, MoveNet
from prune import SLIM, slim

SHARES = (0.8, 0.5)


def scaled(widths, share):
    """`widths` with this share of every kind of channel, in multiples of 8 and never more than the teacher has."""
    def some(width, most):
        return min(most, max(8, 8 * round(share * width / 8)))

    pairs = zip(widths["blocks"], FULL["blocks"], strict=True)
    blocks = [[some(expanded, most[0]), some(out, most[1]), stride] for (expanded, out, stride), most in pairs]
    return {**widths, **{name: some(widths[name], FULL[name]) for name in ("stem", "first", "last")}, "blocks": blocks}


def main():
    args = parser().parse_args()
    trial = Trial(args)
    rows = [trial.row("the teacher, unpruned", lambda: trial.teacher, rate=None), trial.row("pruned MoveNet", lambda: encoder.load(args.lab / "slim.pt"))]
    for share in SHARES:
        def make(widths=scaled(SLIM, share)):
            net, pictures = MoveNet(widths), calibration(args.lab, 96, seed=config.SEED + 1)
            net.load_state_dict(slim(trial.teacher, widths, pictures).state_dict())  # its own weights cannot learn: they were made in inference
            return net
        rows.append(trial.row(f"{share} of its channels", make))
    write(trial, "pruning_ratios", rows)


if __name__ == "__main__":
    main()
