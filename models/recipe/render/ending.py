"""How a harmless scene becomes a take: the story is solved, and who lies comes to rest as physics has it."""

import numpy as np

from .pose import solve
from .ragdoll import Effort, Ragdoll
from .stage import Cast, Take, breathe, fit, normal_actor
from .story import RATE, Story


def finish(
    cast: Cast, story: Story, props=(), sway: float | None = None, toward: float | None = None, rest: str | None = None
) -> Take:
    """Turns a story into a take of the clip's length. `rest` = "still" or "stirs" lets a body that lies at the end of
    the story sink down as physics has it, exactly as a fallen one rests."""
    rng = cast.rng
    track = story.track(rng, rng.uniform(0.3, 1.2) if sway is None else sway)
    turn, root = solve(cast.body, track)
    if rest and len(root) < cast.frames - 5:
        turn, root = _sink(cast, turn, root, list(props), rest == "stirs")
    turn, root = fit(cast.frames, turn, root)
    actor = normal_actor(cast.body, turn, root)
    breathe(actor, rng, rng.uniform(0.2, 1.0))
    return Take([actor], list(props), story.yaw if toward is None else toward)


def _sink(cast: Cast, turn, root, props, stirs: bool):
    """Physics after the last frame: the muscles let go and, if the person stirs, limbs move now and then."""
    n = cast.frames - len(root) if stirs else int(1.5 * RATE)
    rng = cast.rng
    hold_turn, hold_root = np.repeat(turn[-1:], n, 0), np.repeat(root[-1:], n, 0)
    doll = Ragdoll(cast.body, [b for p in props for b in p.boxes()])
    effort = Effort(carry=0.3, strength=0.25, weaken=0.6, limp=0.4, push_time=0)
    new_turn, new_root = doll.fall(hold_turn, hold_root, 1, effort, rng, RATE, rng.uniform(0.3, 1.0) if stirs else 0.0)
    if not np.isfinite(new_root).all() or new_root[-1, 2] < root[-1, 2] - 0.3:
        return turn, root
    return np.concatenate([turn, new_turn]), np.concatenate([root, new_root])
