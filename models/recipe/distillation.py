"""Step `distillation`: the pruned network learns the same time from the teacher's features and maps, from its maps alone, or from
rendered people whose truth is known, without a teacher.

    python distillation.py --lab LAB --data DATA --teacher movenet.tflite --renders RENDERS
"""

from encoder_train import WEIGHT
from encoder_trial import Trial, parser, write
from nets import encoder

MAPS = tuple(name for name in WEIGHT if name != "feature")


def main():
    args = parser().parse_args()
    trial = Trial(args)

    def start():
        return encoder.load(args.lab / "slim.pt")

    rows = [trial.row("pruned MoveNet", start), trial.row("maps alone", start, terms=MAPS),
            trial.row("known people alone", start, terms=MAPS, teacher=False)]
    write(trial, "distillation", rows)


if __name__ == "__main__":
    main()
