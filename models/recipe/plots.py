"""The figures of the report, and the numbers behind them."""

import matplotlib
import numpy as np

import strips
from evaluate import judge_rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

DPI = 90
ENTER = np.round(np.concatenate([np.arange(0.05, 0.95, 0.05), [0.95, 0.97, 0.99]]), 2)
COLOURS = {"real, room not trained on": "#c1272d", "real, room trained on": "#e9967a", "rendered, test": "#0b5394", "rendered, validation": "#8fb8de"}
SHADES = {"fall": "#f4a6a6", "fallen": "#f9dcc4", "climb": "#cbe8c0"}


def precision_recall(manifest, clips, enters=ENTER):
    """[(enter, precision, recall)] by events of clips [(score rows, known)], with the manifest's k of n; `exit` is half of
    `enter`. Precision is the share of falls seen among those and the false alarms; None where nothing is raised."""
    out = []
    for enter in enters:
        policy = manifest["policy"] | {"fall": manifest["policy"]["fall"] | {"enter": float(enter), "exit": float(enter) / 2}}
        judged = [judge_rows(manifest | {"policy": policy}, rows, known) for rows, known in clips]
        falls = [r["seen"] for r in judged if "seen" in r]
        seen, false = sum(falls), sum(r["false"] for r in judged)
        out.append((float(enter), seen / (seen + false) if seen + false else None, seen / len(falls)))
    return out


def bars(manifest):
    """The values of `enter` over which a curve is drawn: all, or those from the score on from which a camera is looked at twice. The ticks below
    hold one look, and are not what a site with such a bar would get: it is looked at twice from there."""
    least = (manifest.get("second_look") or {}).get("from", ENTER[0])
    return [float(least), *(float(e) for e in ENTER if e > least)]


def reliability(scores, truth, count=10):
    """[(mean score, share true, ticks)] of `count` equal bins of scores in 0..1; empty bins are left out."""
    scores, truth = np.asarray(scores, float), np.asarray(truth, bool)
    which = np.minimum((scores * count).astype(int), count - 1)
    return [(float(scores[which == b].mean()), float(truth[which == b].mean()), int((which == b).sum())) for b in range(count) if (which == b).any()]


def calibration_error(bins):
    """Expected calibration error of reliability bins (Guo et al., On Calibration of Modern Neural Networks, 2017)."""
    return sum(n * abs(score - true) for score, true, n in bins) / sum(n for _, _, n in bins)


def by_source(cases):
    return {s: part for s in COLOURS if (part := [c for c in cases if c.source == s])}


def _saved(figure, path):
    figure.savefig(path, dpi=DPI, bbox_inches="tight", **({"pil_kwargs": {"quality": 78}} if path.suffix == ".jpg" else {}))
    plt.close(figure)


def draw_precision_recall(path, manifest, cases):
    figure, axis = plt.subplots(figsize=(6, 4.4))
    policy, enters = manifest["policy"]["fall"], bars(manifest)
    for source, part in by_source(cases).items():
        clips = [(c.rows, c.known) for c in part]
        points = [p for p in precision_recall(manifest, clips, enters) if p[1] is not None]
        falls = sum(c.known is not None for c in part)
        axis.plot([r for _, _, r in points], [p for _, p, _ in points], ".-", color=COLOURS[source], lw=1.2, ms=4,
                  label=f"{source} (clips: {falls} with a fall, {len(part) - falls} without)")
        for _, precision, recall in precision_recall(manifest, clips, [policy["enter"]]):
            if precision is not None:
                axis.plot(recall, precision, "o", color=COLOURS[source], ms=8 + 3 * list(COLOURS).index(source), mfc="none", mew=1.6, clip_on=False)
    axis.set(xlabel="falls seen, share", ylabel="alarms that are falls, share", xlim=(-0.02, 1.04), ylim=(0, 1.04),
             title=f"Enter threshold {enters[0]:g}–{enters[-1]:g}, {policy['k']} of {policy['n']} (ring: {policy['enter']:g}, as shipped)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower left")
    _saved(figure, path)


def draw_delays(path, cases):
    figure, axis = plt.subplots(figsize=(6, 3.2))
    parts = {s: d for s, part in by_source(cases).items() if (d := [c.result["delay"] for c in part if c.result.get("seen")])}
    if parts:
        axis.hist(list(parts.values()), bins=np.arange(-1.2, 4.01, 0.2), stacked=True, color=[COLOURS[s] for s in parts],
                  label=[f"{s} ({len(d)}, median {np.median(d):+.2f} s)" for s, d in parts.items()])
        axis.legend(fontsize=8)
    axis.axvline(0, color="k", lw=0.8)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="alarm after contact, s", ylabel="falls")
    _saved(figure, path)


def draw_reliability(path, cases):
    figure, (top, below) = plt.subplots(2, 1, figsize=(5, 5.2), height_ratios=(3, 1), sharex=True)
    top.plot([0, 1], [0, 1], "--", color="grey", lw=0.8)
    for k, (source, part) in enumerate(by_source([c for c in cases if c.about and c.freeze is None]).items()):
        first = part[0].manifest["clip"]["min_ticks"] - 1
        bins = reliability(*(np.concatenate(x) for x in zip(*(([r[1] for r in c.rows[first:]], c.down()[first:]) for c in part), strict=True)))
        mean, share, ticks = zip(*bins, strict=True)
        top.plot(mean, share, "o-", color=COLOURS[source], label=f"{source}: error {calibration_error(bins):.3f} ({len(part)} clips)")
        below.bar(np.floor(np.array(mean) * 10) / 10 + 0.03 + 0.04 * k, ticks, 0.04, color=COLOURS[source])
    top.set(ylabel="somebody falls or lies fallen,\nshare of ticks", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    below.set(yscale="log", ylim=(0.7, None), xlabel="fall score", ylabel="ticks")
    top.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    _saved(figure, path)


def scene(case):
    """The scenario, all twins being one."""
    return "twins of falls" if case.kind == "twins" else case.scenario


def confusion(cases):
    """{scenario: [clips with no alarm, whose first alarm is a fall, a climb]}."""
    out = {}
    for c in cases:
        row = out.setdefault(scene(c), [0, 0, 0])
        row[(None, "fall", "climb").index(c.raised[0][1] if c.raised else None)] += 1
    return dict(sorted(out.items(), key=lambda x: ("fall-" not in x[0], "climb" not in x[0], x[0])))


def draw_confusion(path, cases):
    parts = by_source([c for c in cases if c.about])
    tables = {s: confusion(part) for s, part in parts.items()}
    names = list(confusion([c for part in parts.values() for c in part]))
    figure, axes = plt.subplots(1, len(tables), figsize=(2.2 + 2.4 * len(tables), 0.8 + 0.21 * len(names)), sharey=True, squeeze=False)
    for axis, (source, table) in zip(axes[0], tables.items(), strict=True):
        counts = np.array([table.get(n, [0, 0, 0]) for n in names])
        axis.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1.8, aspect="auto")
        for (row, column), n in np.ndenumerate(counts):
            if n:
                axis.text(column, row, n, ha="center", va="center", fontsize=8)
        axis.set_xticks(range(3), ["none", "fall", "climb"], fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_title(source, fontsize=9)
        axis.set_xlabel("first alarm", fontsize=9)
        axis.tick_params(length=0)
        axis.hlines(np.arange(len(names) - 1) + 0.5, -0.5, 2.5, color="#dddddd", lw=0.6)
    _saved(figure, path)


def draw_timeline(path, case, count=6):
    """Both scores over time with the label's spans, the bar and the alarms; pictures of the clip below."""
    figure, (axis, below) = plt.subplots(2, 1, figsize=(9.6, 4.2), height_ratios=(1.6, 1), sharex=True)
    t = [r[0] for r in case.rows]
    policy = case.manifest["policy"]["fall"]
    for label, start, end in case.spans():
        axis.axvspan(start, end, color=SHADES[label], lw=0, label=label)
    axis.plot(t, [r[1] for r in case.rows], color="#c1272d", label="fall score")
    axis.plot(t, [r[2] for r in case.rows], color="#38761d", lw=0.9, label="climb score")
    axis.axhline(policy["enter"], color="k", ls="--", lw=0.9, label=f"bar: {policy['k']} of {policy['n']} at {policy['enter']:g}")
    for at, kind in case.raised:
        axis.plot(at, 1.04, "v", color={"fall": "#c1272d", "climb": "#38761d"}[kind], clip_on=False, label=f"{kind} alarm")
    axis.set(xlim=(0, t[-1]), ylim=(0, 1.05), ylabel="score")
    axis.set_title(f"{case.name} ({case.source})", fontsize=9, pad=26)
    axis.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.03), ncols=8, frameon=False)
    times = np.linspace(0, t[-1], count + 1)[:-1] + t[-1] / count / 2
    below.imshow(np.concatenate(strips.tiles(case, times), 1), extent=(0, t[-1], 0, 1), aspect="auto")
    below.set(yticks=[], xlabel="s", xlim=(0, t[-1]))
    figure.subplots_adjust(hspace=0.08)
    _saved(figure, path)
