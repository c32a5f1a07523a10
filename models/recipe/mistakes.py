"""What went wrong, worst first, and what the encoder had found meanwhile.

Missed falls and climbs are the worse the lower their greatest score, false alarms the worse the higher. The kinds take turns,
so that none fills the list."""

from collections import namedtuple
from itertools import chain, zip_longest

from cases import AFTER

Mistake = namedtuple("Mistake", "what case peak found times")  # found: share of ticks, or None
KINDS = ("missed fall", "false fall alarm", "missed climb", "false climb alarm")
LOST = 0.5  # share of the ticks with the person found, below which the encoder had lost the body


def of_case(case):
    """All mistakes of a case."""
    if case.known and not case.result["seen"]:
        onset, contact = case.known["onset"], case.known["contact"]
        yield Mistake(KINDS[0], case, case.peak(1, onset - 0.3, contact + 4)[0], case.found(contact, contact + AFTER),
                      (onset - 0.2, contact, contact + 0.7, contact + AFTER))
    for (start, end), seen in zip(case.climbs, case.climbs_seen, strict=True):
        if not seen:
            step = (end - start) / 4
            yield Mistake(KINDS[2], case, case.peak(2, start, end)[0], case.found(start, end), [start + step * (k + 0.5) for k in range(4)])
    for what, column, times in ((KINDS[1], 1, case.result["false_at"]), (KINDS[3], 2, case.climbs_false)):
        for t in times:
            yield Mistake(what, case, case.peak(column, t - 0.5, t + 1)[0], case.found(t - AFTER, t), (t - 1.5, t - 0.8, t - 0.3, t))


def worst(cases, count=20):
    """At most `count` mistakes of all cases, the kinds in turns."""
    found = list(chain.from_iterable(map(of_case, cases)))
    lists = [sorted((m for m in found if m.what == kind), key=lambda m: (m.peak if "missed" in kind else -m.peak, m.case.name)) for kind in KINDS]
    return [m for m in chain.from_iterable(zip_longest(*lists)) if m][:count]


def in_common(cases, shown):
    """Two sentences: how often the encoder had lost the body among the shown mistakes, and of falls missed and seen."""
    def lost(shares):
        return sum(share is not None and share < LOST for share in shares)

    falls = [(c.result["seen"], c.found(c.known["contact"], c.known["contact"] + AFTER)) for c in cases if c.known]
    missed, seen = ([share for was_seen, share in falls if was_seen == which] for which in (False, True))
    return (f"In {lost(m.found for m in shown)} of these {len(shown)} the encoder had found the person in less than half of the ticks.\n"
            f"After contact it had lost the body so in {lost(missed)} of the {len(missed)} falls that were missed, and in {lost(seen)} of the "
            f"{len(seen)} that were seen.")
