"""What ships of a network that was trained on: weights half way between where it began and where it came to.

Training on rendered pictures teaches what was missing and unlearns a little of the real world; the way between keeps most of
both (WiSE-FT, Wortsman et al. 2022). It needs the same network at both ends, with normalisation folded.
"""

import torch

BLEND = 0.5  # of the way


def between(start, end, share=BLEND):
    """State dicts of the same network -> the one `share` of the way from `start` to `end`."""
    return {name: torch.lerp(start[name], value, share) for name, value in end.items()}
