"""Step `card`: the model card, written from what was measured of these very networks, and nothing else.

    python card.py --lab LAB --bundle ../bundle

What `evaluate.py`, `other_cameras.py`, `hours.py` and `measure.py` wrote into LAB of this encoder, this head and this policy goes into the manifest's
provenance, and the card is written from there; what was not measured is called so. A row of the provenance that was counted with other networks or
rules (`evaluate.stamp`) goes. `lineage.md` tells of networks, by their hashes, where they come from and what is peculiar to them.
"""

import argparse
import json
import re
from pathlib import Path

import config
from evaluate import counted, decided_by, of_others, poisson_upper, stamped, wilson
from stream import THERE

EVENTS = ("real, room not trained on:", "real, trained on:", "rendered", "validation, people never trained on:")
SOURCES = ("evaluation.json", "validation.json", "unseen.json", "near.json", "cameras.json", "hours.json")  # in LAB
KINDS = ("falls", "everyday", "twins", "climbs")

INTRO = """# {name} {version}

Sees people fall, lie after a fall, and climb, in the pictures of one fixed camera. Made for falld; the tensors and the
road from frames to alerts stand in `models/README.md`, the making of it in `models/recipe/`.

## What it is
- **Encoder** (`encoder.onnx`, {encoder_mb:.2f} MB, INT8): MobileNetV3's blocks (squeeze-and-excitation, hard-swish from stride 16 on) with a
  feature pyramid and CenterNet heads. Every convolution is integer; four of the six heads are asked only at the
  cells that decoding reads. Up to four people with 17 joints each, and a grid of motion and brightness. {encoder}
- **Head** (`head.onnx`, {head_mb:.2f} MB, float): dilated convolutions over 64 ticks (4.3 s) and attention in windows of 16, on joints
  in the person's own units; asked about the people and about their mirror image, it answers with the mean
  (`docs/decisions/2026-11-25-the-head-is-asked-about-the-mirror-image.md`). {head}
{second}
"""
DATA = """## Data and thanks
| data | used for | licence |
|---|---|---|
| our own simulated movements (a ragdoll falls, key poses and CMU motion capture for the rest) | head | ours; the motion data used in this project was obtained from mocap.cs.cmu.edu, created with funding from NSF EIA-0196217 |
| our own rendered clips | encoder, head; choice of thresholds, test; a few frames for calibration | ours; bodies from anny (Apache-2.0), rooms from Poly Haven (CC0), furniture KayKit (CC0) |
| T2V-Bed-Fall-Detection-Dataset (Kuan-Ting Wu), generated video | pictures for pruning, for the encoder's training and for INT8 calibration; of the head only to say of them what it said before | CC BY 4.0 |
| bouldering_fixed, climbing-analysis-toolbox | pictures, as in the line above; not the head | MIT |
| GMDCSA-24 subject 1 (Ekram Alam): one room | encoder, head | MIT |
| GMDCSA-24 subjects 2 and 3: two other people in another room | **not trained on**: the real validation set | MIT |

"""

LIMITS = """
## What nobody can claim from this
- No real fall of an old person, no real child, no real climbing child was seen, in training or in validation. The real falls
  are 11 acted ones by young adults in two rooms.
- No false alarm in the few minutes of real everyday footage here say next to nothing about a month: look at the upper bounds.
- The clips of subjects 2 and 3 are not trained on, but they are a development set: heads were compared on them, the tracker's
  rules were mended after looking at two of them, and the policy was chosen among those that make no mistake on them. So the
  real figures are optimistic. **Through other cameras** (the same clips mirrored, dark, far, cut, tilted, slow …: 13 pictures of each)
  {cameras}; the policy was chosen on these too (`docs/model-comparisons.md`).
- **Ordinary life**, rendered, of people and rooms never trained on: {ordinary}. A long lie, told 30 s after a fall that nobody ended, is not counted. These
  minutes are dense: every few seconds somebody sits down, lies down, bends, kneels, or goes out and comes back.
- **Close to the camera**, where the picture's lower edge cuts people: {near}, of people and rooms never trained on: feet belong into the picture.
- The temperature and the policy of falls come from rendered validation clips as well: {validation}{once}. Of each four such clips about three show people and rooms
  that training clips show, most of them the very scene: a fall and its twin are neighbours, and one may be trained on while the other validates.
  The rows "validation, people never trained on" above are the others.
- **Climbs**: {climbs}. {chairs} It takes
  {climb_k} of {climb_n} ticks, so a climb is told at least {climb_s:.1f} s after it is first recognised, at a place that the site marked {there_s:.1f} s after a knee is seen there. No real child was ever tried.
- The encoder has seen photos of every place that stands behind windows and as a backdrop, also in held-out clips.
- The recipe makes a bundle like this one, not the same: trainings stop by the clock.
- Lying on the floor without the fall having been seen in the last 4 s is not reported. Lying down fast on purpose, and falls that
  are slow slides, are the hard cases. A fall hidden behind furniture or outside the picture is not seen.
- It is no medical device and does not replace care.
{limits}
## What next
A head that learns with what is under the feet, so that who stands on a chair from the beginning is known from who stands before it; climbs over rails and onto sofas; people who go down fast in the first second; more everyday movement
near the floor; real everyday footage.
"""

ONCE = "validation, one look:"
APART = "validation, people never trained on:"
MISSING = "not measured"
CHAIRS = {  # by how many numbers stand behind a person's row
    0: "Whoever stands on a chair from the first picture on is not known to have climbed it, for nothing here looks at chairs.",
    config.EMBEDDING: "Whoever is up on something from the first picture on is hardly ever told: the head is too certain of what the joints show. What is under the feet was learnt from rendered furniture.",
}


def second_look(facts):
    """The item on the second look, if the manifest's `facts` ask for one."""
    return "" if not facts else (
        f"- **Second look**: from a score of {facts['from']} on, and for {facts['frames']} frames after, both are asked about the pictures' mirror images as well, and a tick counts if both looks\n"
        "  say so (`docs/decisions/2026-11-28-what-the-mirror-image-denies.md`).\n")


def heading(kind, *hashes):
    """What `lineage.md` calls the section under `kind` of networks with these SHA-256."""
    return " ".join([kind, *(h[:12] for h in hashes)])


def lineage(kind, *hashes, path=Path(__file__).parent / "lineage.md"):
    """What `lineage.md` says under `kind` of networks with these SHA-256, or ""."""
    sections = re.split(r"^## (.+)\n", path.read_text(), flags=re.M)[1:]
    return dict(zip(sections[::2], sections[1::2], strict=True)).get(heading(kind, *hashes), "").strip()


def unwritten(about):
    """The headings, as they stand in `lineage.md`, under which it says nothing of the networks of this manifest."""
    encoder, head = (about[part]["sha256"] for part in ("encoder", "head"))
    return [f"## {heading(*of)}" for of in (("encoder", encoder), ("head", head), ("limits", encoder, head)) if not lineage(*of)]


def measured(lab, about, name):
    """What LAB/`name` says of the bundle with the manifest `about`; {} if it is missing, or of other networks or rules."""
    path = lab / name
    found = json.loads(path.read_text()) if path.exists() else {}
    mine, of = decided_by(about), found.get("of")
    # What was measured of the networks alone names no rules; what counts events names all, and without `second_look` it was counted by one look.
    alone = of and set(of) <= {"encoder", "head"}
    return found if of and all(mine[key] == of.get(key) for key in (of if alone else mine)) else {}


def table(rows):
    """Rows {name: `evaluate.summary`} as Markdown."""
    lines = ["| | clips | falls seen | 95 % | delay after contact, median / p90 | false alerts (clips) | hours | false per hour, 95 % upper | climb alerts |", "|---|---|---|---|---|---|---|---|---|"]
    for name, r in rows.items():
        falls = f"{r['seen']} of {r['falls']}" if r["falls"] else "–"
        wilson95 = f"{r['recall_95'][0]:.2f}–{r['recall_95'][1]:.2f}" if r["falls"] else "–"
        delay = f"{r['delay_median_s']:+.2f} / {r['delay_p90_s']:+.2f} s" if r["delay_median_s"] is not None else "–"
        lines.append(f"| {name} | {r['clips']} | {falls} | {wilson95} | {delay} | {r['false']} ({r['clips_alarmed']}) | {r['hours']:.3f} | {r['false_per_hour_upper_95']} | {r['climb_alerts']} |")
    return "\n".join(lines) + "\n"


def percent(hits, n):
    low, high = wilson(hits, n)
    return f"{hits} of {n} ({100 * low:.0f}–{100 * high:.0f} %)"


def events(scores, source, apart=True):
    """What was seen of a source's falls, and at what else it alarmed, as a sentence's part; an interval stands only where clips are `apart`."""
    rows = {kind: scores.get(f"{source} {kind}") for kind in KINDS}
    if not rows["falls"]:
        return MISSING
    calm = [(kind, rows[kind]) for kind in ("everyday", "twins", "climbs") if rows[kind] and rows[kind]["clips"]]
    said = ", ".join(f"{r['clips_alarmed']} of {r['clips']} {kind}" for kind, r in calm)
    seen, n = rows["falls"]["seen"], rows["falls"]["falls"]
    return f"{percent(seen, n) if apart else f'{seen} of {n}'} falls are seen and {said} alarmed"


def climbs(scores, source):
    """How many of a source's clips with a climb raise one, and how many climbs are called in its other clips."""
    r = scores.get(f"{source} climbs")
    if not r or r["climb_alerts"] is None:
        return MISSING
    vain = [scores[f"{source} {kind}"] for kind in ("everyday", "twins", "falls") if f"{source} {kind}" in scores]
    return f"{r['climb_alerts']} alerts in {r['clips']} clips with one, {sum(v['climb_alerts'] for v in vain)} in {sum(v['clips'] for v in vain)} without"


def ordinary(r):
    """The false alarms of `hours.totals`, as a sentence's part."""
    if not r:
        return MISSING
    told = [f"**{count} false {kind} alarm{'s' * (count != 1)}, {count / r['hours']:.1f} an hour** (95 % below {poisson_upper(count) / r['hours']:.1f})"
            for kind, count in (("fall", r["false"]), ("climb", r["climb_alerts"]))]
    return f"{' and '.join(told)} in {r['hours']:.1f} hours ({r['clips']} clips; the fall alarms in {r['clips_alarmed']} of them)"


def pose(found):
    """The section on joints and latency, from `measure.py`'s words."""
    alone = found and "float" not in found["encoders"]
    text = (f"## Pose{'' if alone else ', and what INT8 costs'}\nAgainst the teacher (float MoveNet, mirrored average) on GMDCSA-24 frames that none of them learnt from. Found: box overlap\n"
            "above 0.5. Apart: mean joint distance over the box diagonal.\n\n")
    if not found:
        return text + MISSING.capitalize() + ".\n"
    text += "| encoder | upright found / apart | lying found / apart | ms, 1 thread | ms, 2 threads |\n|---|---|---|---|---|\n"
    for name, m in found["encoders"].items():
        cell = " | ".join(f"{m[k][0]:.3f} of {int(m[k][2])} / {m[k][1]:.3f}" for k in ("upright", "lying"))
        text += f"| {name} | {cell} | {m['ms'][0]:.1f} | {m['ms'][1]:.1f} |\n"
    if alone:
        text += "\nThe float encoder that this one was made of was not at hand: what INT8 costs is not measured.\n"
    return text + f"\nHead, 1 row and 4 rows, 1 thread: {found['head_ms'][0]:.2f} and {found['head_ms'][1]:.2f} ms. {found['note']}\n"


def card(about, megabytes):
    """The page of the bundle with the manifest `about`; `megabytes` of its two files by part."""
    source, hashes = about["provenance"], [about[part]["sha256"] for part in ("encoder", "head")]
    scores, policy = source["scores"], about["policy"]
    made = {part: lineage(part, about[part]["sha256"]) or "Made by `models/recipe`." for part in ("encoder", "head")}
    text = INTRO.format(name=about["name"], version=about["version"], encoder_mb=megabytes["encoder"], head_mb=megabytes["head"], second=second_look(about.get("second_look")), **made) + DATA
    text += ("## Events\nAn alert counts if it comes between 0.3 s before the loss of balance and 4 s after contact. A twin is the footage before the\n"
             "fall, then frozen for 6 s. Rendered: our own clips, of people, rooms and looks never trained on; the policy was not chosen on \"rendered\".\n\n")
    text += table({name: row for start in EVENTS for name, row in scores.items() if name.startswith(start)})
    fall, climb = policy["fall"], policy["climb"]
    text += (f"\nPolicy: falls {fall['k']} of {fall['n']} ticks at or above {fall['enter']}, climbs {climb['k']} of {climb['n']} at or above {climb['enter']}; temperature {about['temperature']}.\n"
             f"Chosen on {json.dumps(source.get('chosen_on', {}))}.\n\n")
    # Where a second look came later the policy is still the one that was chosen without.
    once = ", by one look" if f"{ONCE} falls" in scores else ""
    every = ONCE if once else "validation:"
    # A policy of climbs that came later still was counted on those alone who never trained.
    valid, whose = (every, f"validation{once}") if climbs(scores, every) != MISSING else (APART, "validation, people never trained on")
    return text + pose(source.get("measured")) + LIMITS.format(
        cameras=events(scores, "other cameras, room not trained on:", apart=False), ordinary=ordinary(scores.get("ordinary life")), near=events(scores, "close by:"),
        validation=events(scores, every), once=once, climbs=f"{climbs(scores, 'rendered')} (\"rendered\"); {climbs(scores, valid)} ({whose})",
        chairs=CHAIRS[about["people"]["embedding"]], climb_k=climb["k"], climb_n=climb["n"], climb_s=climb["k"] / about["clip"]["rate_hz"],
        there_s=min(THERE[0], climb["k"]) / about["clip"]["rate_hz"], limits=lineage("limits", *hashes) + "\n")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--bundle", type=Path, required=True)
    args = args.parse_args()
    path = args.bundle / "manifest.json"
    about = json.loads(path.read_text())
    source = about["provenance"]
    old, source["scores"] = source["scores"], counted(source["scores"], about)
    for name in SOURCES:
        source["scores"].update(stamped(measured(args.lab, about, name).get("summary", {}), about))
    if gone := [name for name in old if name not in source["scores"]]:
        print(f"Counted with other networks or rules, and not with these, so no longer on the card: {'; '.join(gone)}")
    if latency := measured(args.lab, about, "measured.json"):
        source["measured"] = {key: latency[key] for key in ("encoders", "head_ms", "note")}
    choice = args.lab / "choice.json"
    chosen = json.loads(choice.read_text()) if choice.exists() else {}
    if chosen.get("policy") == about["policy"] and not of_others(chosen, about):
        source["chosen_on"] = chosen["chosen_on"]
    megabytes = {part: (args.bundle / about[part]["file"]).stat().st_size / 1e6 for part in ("encoder", "head")}
    (args.bundle / "CARD.md").write_text(card(about, megabytes))
    path.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
