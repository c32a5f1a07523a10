"""Step `report`: what the shipped bundle sees and misses, as a page with tables, figures and pictures of its worst mistakes.

    python report.py --bundle ../bundle --data DATA --lab LAB --renders RENDERS --out ../report

Writes `REPORT.md` and its pictures into `--out`, and takes away the pictures of an earlier run. Counts as `evaluate.py` and
`cases.py` say; encoder outputs are kept in `LAB/events`, so only the first run over new clips or a new encoder is slow.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

import mistakes
import plots
import strips
from cases import OVERLAP, REAL, RENDERED, cases
from evaluate import poisson_upper, wilson
from stream import Bundle

INTRO = """# What {name} {version} sees and misses

Made by `models/recipe/report.py` from the bundle that ships: encoder `{encoder}`, head `{head}`.
Policy: fall alarm at {k} of {n} scores at or above {enter}, climb alarm at {climb_k} of {climb_n} at or above {climb_enter}{twice}.

An alarm counts for a fall between 0.3 s before the loss of balance and 4 s after contact, for a climb between 0.5 s before its
label and 3 s after it; every other alarm is false. A twin is the footage before a fall, then frozen for 6 s. Intervals are 95 %:
Wilson for shares, the upper Poisson bound for rates.

Read with care: the policy was **chosen on the rendered validation clips, among those that make no mistake in the filmed room not trained
on, and on that room through other cameras**, whose clips were also looked at while heads and the tracker's rules were compared; the real falls are acted
by young adults. Clips of one scene (a fall and its twin) are not independent, so the intervals are too narrow if anything. No training clip shows the
people, rooms or looks of a rendered clip here.

Filmed clips: GMDCSA-24 (2024 Ekram Alam, MIT licence); of them only what the encoder found is drawn. Rendered clips: our own.
"""


def share(hits):
    """Booleans -> "k of n (low–high)"."""
    hits = list(hits)
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} ({low:.2f}–{high:.2f})" if hits else "–"


def table(head, rows):
    """A Markdown table; the first column is left without a name if `head` begins with ""."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(c) for c in line)} |\n" for line in lines) + "\n"


def falls_seen(part):
    return share(c.result["seen"] for c in part if c.known)


def climbs_seen(part):
    return share(s for c in part for s in c.climbs_seen)


def alarmed(part):
    return share(c.result["false"] > 0 for c in part)


def event_row(name, part):
    """One row of the table of events."""
    delays = [c.result["delay"] for c in part if c.result.get("seen")]
    hours = sum(c.result["seconds"] for c in part) / 3600
    false = sum(c.result["false"] for c in part)
    delay = f"{np.median(delays):+.2f} / {np.quantile(delays, 0.9):+.2f} s" if delays else "–"
    return [name, len(part), falls_seen(part), delay, f"{false} ({sum(c.result['false'] > 0 for c in part)})", f"{hours:.3f}",
            f"{false / hours:.1f} (below {poisson_upper(false) / hours:.0f})", climbs_seen(part), sum(len(c.climbs_false) for c in part)]


def events(scored):
    rows = []
    for source in (*REAL, *RENDERED):
        part = [c for c in scored if c.source == source]
        mark = " (policy chosen on it)" if source == list(RENDERED)[1] else ""
        rows += [event_row(f"{source}{mark}: {kind}", few) for kind in ("falls", "everyday", "twins", "climbs")
                 if (few := [c for c in part if c.kind == kind])]
        rows += [event_row(f"**{source}{mark}: all**", part)] if part else []
    return table(["", "clips", "falls seen", "delay after contact, median / p90", "false fall alarms (clips)", "hours", "false per hour",
                  "climbs seen", "false climb alarms"], rows)


def whole_clips(scored):
    """Accuracy by clips, twins left out: a clip is called a fall if any fall alarm is raised in it."""
    rows = []
    for source in (*REAL, *RENDERED):
        clips = [c for c in scored if c.source == source and c.kind != "twins"]
        called = [(c.known is not None, any(kind == "fall" for _, kind in c.raised)) for c in clips]
        rows.append([source, share(a == b for a, b in called), share(b for a, b in called if a), share(not b for a, b in called if not a)])
    return table(["", "accuracy", "sensitivity", "specificity"], rows)


def grouped(scored, key, columns):
    """Rows of a table by `key(case)`: one cell for each column, a function from cases to text, and rendered split."""
    names = sorted({k for c in scored if (k := key(c)) is not None})
    return [[name, *(column([c for c in scored if key(c) == name and c.source == source]) for column in columns for source in RENDERED)]
            for name in names]


def heads(*names):
    return [f"{name}, {source.removeprefix('rendered, ')}" for name in names for source in RENDERED]


def scenarios(scored):
    def of(kinds, *columns):
        return grouped([c for c in scored if c.source in RENDERED and c.kind in kinds], plots.scene, columns)

    return (table(["fall", *heads("seen")], of(["falls"], falls_seen))
            + table(["no fall", *heads("clips with a fall alarm")], of(["everyday", "twins"], alarmed))
            + table(["climb", *heads("seen", "clips with a fall alarm")], of(["climbs"], climbs_seen, alarmed)))


def difficulties(scored):
    """One table over all aspects of `difficulty.bins`."""
    made = [(c, c.bins()) for c in scored if c.source in RENDERED and (c.known or c.climbs)]
    bins, rows = {id(c): b for c, b in made}, []
    for aspect in dict.fromkeys(a for _, b in made for a in b):
        of_aspect = grouped([c for c, _ in made], lambda c, a=aspect: bins[id(c)].get(a), [falls_seen, climbs_seen])
        rows += [[f"{aspect}: {row[0]}", *row[1:]] for row in of_aspect]
    return table(["", *heads("falls seen", "climbs seen")], rows)


def examples(scored):
    """About four clips to look at: the typical and the slowest (or missed) real fall, the real everyday clip with the highest
    score, and the typical rendered fall."""
    def slow(c):
        return c.result["delay"] if c.result["seen"] else np.inf

    real, test = list(REAL)[0], list(RENDERED)[0]
    filmed = sorted((c for c in scored if c.source == real and c.known), key=slow)
    quiet = [c for c in scored if c.source == real and c.kind == "everyday"]
    made = sorted((c for c in scored if c.source == test and c.known and c.result["seen"]), key=slow)
    return [*([filmed[len(filmed) // 2], filmed[-1]] if len(filmed) > 1 else filmed), *([max(quiet, key=lambda c: c.peak()[0])] if quiet else []),
            *made[len(made) // 2 : len(made) // 2 + 1]]


def figures(out, manifest, scored):
    """Draws all figures -> their Markdown."""
    plots.draw_precision_recall(out / "precision_recall.png", manifest, scored)
    plots.draw_delays(out / "delays.png", scored)
    plots.draw_reliability(out / "reliability.png", scored)
    plots.draw_confusion(out / "confusion.png", scored)
    text = "## Figures\n"
    for name, says in (
            ("precision_recall", "Events as the bar to enter moves; k of n as shipped. How many clips without a fall there are for each fall\n"
             "decides the height: compare shapes, not heights, between sources."),
            ("delays", "When the alarm of a seen fall comes."),
            ("reliability", "Is the fall score a probability? Ticks of one clip hang together, and somebody who fell long ago still counts\n"
             "as fallen; the legend's error is the expected calibration error (Guo et al., On Calibration of Modern Neural Networks, 2017)."),
            ("confusion", "What is raised first, by scenario: clips.")):
        text += f"![{name}]({name}.png)\n\n{says}\n\n"
    text += "### Scores over time\nShaded: the labels. Under each curve, the clip with what the encoder found.\n\n"
    for k, case in enumerate(tqdm(examples(scored), "timelines")):
        plots.draw_timeline(out / f"timeline_{k + 1}.jpg", case)
        text += f"![{case.name}](timeline_{k + 1}.jpg)\n\n"
    return text


def errors(out, scored):
    """Saves the strips of the worst mistakes -> their Markdown."""
    shown, rows = mistakes.worst(scored), []
    for k, m in enumerate(tqdm(shown, "strips"), 1):
        strips.strip(out / f"mistake_{k:02}.jpg", m.case, m.times)
        found = "–" if m.found is None else f"{m.found:.2f}"
        scenario = f"twin of {m.case.scenario}" if m.case.kind == "twins" else m.case.scenario
        rows.append([k, m.what, scenario, m.case.source, m.case.path.stem, found, f"{m.peak:.2f}"])
    text = (f"## The worst {len(shown)} mistakes\n{mistakes.in_common(scored, shown)}\n\n"
            "Found: share of the ticks in which the encoder found the person, in the 2 s after contact, in the 2 s before a false alarm, or\n"
            f"during the climb. In rendered clips with a fall or a climb the found box must overlap the true one by {OVERLAP:g} of their union;\n"
            "elsewhere anybody found counts. Peak: the greatest score of that kind meanwhile. Pictures: what the encoder found; time, and\n"
            "the greater of both scores.\n\n")
    text += table(["", "mistake", "scenario", "source", "clip", "found", "peak"], rows)
    return text + "".join(f"{k}. {m.what}, {m.case.scenario}  \n![{k}](mistake_{k:02}.jpg)\n" for k, m in enumerate(shown, 1))


def page(out, manifest, scored):
    """Writes REPORT.md and its pictures into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("*.png"), *out.glob("*.jpg")):
        old.unlink()
    fall, climb = manifest["policy"]["fall"], manifest["policy"]["climb"]
    hashes = {part: manifest[part]["sha256"][:12] for part in ("encoder", "head")}
    facts = manifest.get("second_look")
    twice = f"; from a score of {facts['from']} on a frame is looked at twice, and the lesser score counts" if facts else ""
    text = INTRO.format(name=manifest["name"], version=manifest["version"], twice=twice, **hashes, **fall, **{f"climb_{k}": v for k, v in climb.items()})
    text += "\n## Events\n" + events(scored)
    text += "## Whole clips\nFor comparison with the literature: a clip is called a fall if any fall alarm is raised in it, whenever. Without twins.\n\n"
    text += whole_clips(scored)
    text += "## By scenario, rendered clips\n" + scenarios(scored)
    text += ("## By difficulty, rendered clips\nThe height is that of the body within the picture at the loss of balance (or the start of the\n"
             "climb). Share seen and joints outside: means over the 2 s after contact (or the climb). Lies: from ankles to\n"
             "shoulders half a second after contact, against the line of sight, as if both were on the floor.\n\n")
    text += difficulties(scored) + figures(out, manifest, scored) + errors(out, scored)
    (out / "REPORT.md").write_text(text)


def main():
    args = argparse.ArgumentParser()
    for name in ("bundle", "data", "lab", "renders", "out"):
        args.add_argument(f"--{name}", type=Path, required=True)
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    page(args.out, bundle.manifest, cases(bundle, args.data, args.lab, args.renders))
    size = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{args.out}: {len(list(args.out.iterdir()))} files, {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
