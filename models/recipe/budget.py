"""Batches that fit a memory budget: how many bytes of tensors a training step holds at its worst, without running it.

The step is played on tensors that have shapes and no contents, and every storage is counted from birth to death; so the
figure holds for weights, gradients, the optimiser's state and what is kept for the backward pass. Scratch space inside the
convolution libraries and the interpreter come on top.
"""

import weakref

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts the bytes of storages that are alive: `now`, and the greatest so far, `peak`."""

    def __init__(self):
        super().__init__()
        self.now, self.peak, self.known = 0, 0, weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self.known:
                self.known.add(storage)
                self._count(storage.nbytes())
                weakref.finalize(storage, self._count, -storage.nbytes())
        return out

    def _count(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)


def step_bytes(prepare, shape, count):
    """The most that two steps with `count` clips of `shape` (T,H,W,3) hold. `prepare()` makes weights and optimiser and
    gives a function of (clips, labels) that does one step; in the second one the optimiser has its state."""
    with FakeTensorMode(), Live() as live:
        step = prepare()
        clips, labels = torch.zeros(count, *shape, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64)
        for _ in range(2):
            step(clips, labels)
    return live.peak


def fitting(prepare, shape, budget):
    """The greatest number of clips of `shape` whose step stays within `budget` bytes."""
    low, below, high = 0, 0, 1
    while (above := step_bytes(prepare, shape, high)) <= budget:
        low, below, high = high, above, 2 * high
    if low == 0:
        raise SystemExit(f"the budget of {budget / 2**20:.0f} MiB does not hold one clip of {shape}: raise it, recompute, or take a smaller side")
    while high - low > 1:  # a step grows about in proportion to its clips, so a straight line guesses well
        guess = low + int((budget - below) * (high - low) / (above - below))
        count = min(max(guess, low + 1), high - 1)
        if (held := step_bytes(prepare, shape, count)) <= budget:
            low, below = count, held
        else:
            high, above = count, held
    return low
