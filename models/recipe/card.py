"""Step `card`: the model card, written from what was measured.

    python card.py --lab LAB --bundle ../bundle

Reads `LAB/evaluation.json` (events), `LAB/measured.json` (pose agreement and latency, by `measure.py`) and
`LAB/choice.json`; writes `CARD.md` into the bundle and the scores into the manifest's provenance.
"""

import argparse
import json
from pathlib import Path

INTRO = """# {name} {version}

Sees people fall, lie after a fall, and climb, in the pictures of one fixed camera. Made for falld; the tensors and the
road from frames to alerts stand in `models/README.md`, the making of it in `models/recipe/`. Where it fails, by scenario and
difficulty, with pictures: `models/report/REPORT.md`.

## What it is
- **Encoder** (`encoder.onnx`, {encoder_mb:.2f} MB, INT8): MobileNetV3's blocks (squeeze-and-excitation, hard-swish from stride 16 on) with a
  feature pyramid and CenterNet heads. It grew from MoveNet MultiPose Lightning (Google, Apache-2.0): made slim by least squares;
  trained for 38 minutes on spoiled pictures, filmed, generated and rendered, with exact joints where they are rendered; taken half
  way back; then its blocks exchanged for MobileNetV3's and solved again
  (`docs/decisions/2026-11-24-the-encoder-grows-into-a-mobilenetv3.md`), and trained on for 75 minutes (2,200 batches of 16; two thirds of
  them with pictures of 1,197 rendered clips, 156 of people who bow down); then, but for its first three blocks, on a GPU for 2,746 batches of 32, half of them
  pictures of 1,483 other rendered clips of falls, climbs, ordinary life and people close by, and taken half way back (0.10.0). Every convolution is integer; four of the six heads are asked only at the
  cells that decoding reads. Up to four people with 17 joints each, and a grid of motion and brightness.
- **Head** (`head.onnx`, {head_mb:.2f} MB, float): dilated convolutions over 64 ticks (4.3 s) and attention in windows of 16, on joints
  in the person's own units; asked about the people and about their mirror image, it answers with the mean
  (`docs/decisions/2026-11-25-the-head-is-asked-about-the-mirror-image.md`). It grew from that of 0.4.0: 3,000 steps more (25 minutes of one core) on
  simulated movements (45 %), on what this encoder (INT8) says of 1,272 rendered clips (35 %: falls 40, climbs 22, neither 38 of a hundred) and of one filmed room
  through thirteen cameras (20 %); then 1,550 steps (13 minutes) with 489 more rendered clips, climbs and their like; of these the weights half way from 0.4.0's (0.7.0);
  then 1,900 steps (20 minutes) in which it was told the truth of 84 rendered minutes of ordinary life, and of all else, generated people among it, to say what it said (0.8.0);
  then 2,200 steps (20 minutes) more like these, in which it was also told of every climb, and of all that is no fall in 436 rendered clips of climbs and what is done beside them,
  played by people whom no encoder was trained on (0.9.0); then 1,785 steps on a GPU on what the new encoder says, told of ordinary life (26 minutes), of every climb, and of all that is
  no fall in 254 clips of people close by and 93 of climbs and what is done beside them, played by strangers too; 30 windows of a hundred filmed.
  An integer head would gain 0.2 ms and move scores by up to 0.15 (measured with 0.2.0's), so it stays in float.

## Data and thanks
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
  real figures are optimistic. **Through other cameras** (the same clips mirrored, dark, far, cut, tilted, slow …: 13 pictures of each) 102 of
  104 falls in the room not trained on are seen, 2 of 104 everyday clips and none of 91 twins alarmed (0.9.0: 102, 1, 1; 0.7.0: 101, 1, 1; 0.5.0: 99, 5, 1; 0.4.0: 96, 13, 0); the policy was chosen on these too
  (`docs/model-comparisons.md`). Two everyday clips reach a fall score of 0.87 and 0.94 as filmed: somebody squats, or goes down on hands and knees, in the
  first second; no alert is raised before the pictures are a second old. **Going down on hands and knees fast, as in prayer, may be called a fall.** The rendered test clips were looked at ten
  times, each time for a bundle or a policy that was settled. T2V-Bed's clips, whose rooms give the class away, were looked at five times; they changed
  nothing (`docs/model-comparisons.md`), but all of them, without labels, are among what this head learnt to go on saying the same of.
- **In 1.2 hours of rendered ordinary life, of people and rooms never trained on, it raises 2 false fall alarms** (in 1 of 75 clips; 1.6 an hour, 95 % below 5.0)
  **and 2 false climb alarms** (1.6, below 5.0); 0.9.0: 5 in 4 of 70 of them, and 4; the bar was 0.5. They are a development set: heads were compared on these minutes and their alarms
  looked at as pictures, so others may tell another story. A long lie, told 30 s after a fall that nobody ended, is not counted. These minutes are dense: every few seconds somebody sits down, lies down, bends, kneels, or
  goes out and comes back. What alarms: somebody close to the camera, cut by the picture's lower edge.
- **Close to the camera, where the picture's lower edge cuts people, it sees 27 of 35 rendered falls (61–88 %) and alarms at 5 of 65 clips without one** and at none of 35 twins, of people and rooms never
  trained on: feet belong into the picture.
- The policy waits for 6 of 8 ticks at or above 0.85: whoever goes down slowly may reach that late (of the 8 filmed falls of the room not trained on, three come 1.2 to 2.1 s after contact).
- The temperature and the rest of the policy come from rendered validation clips as well, on which it
  sees 103 of 109 falls and alarms at 3 of 353 others. Most of these clips share rooms and bodies with training ones.
- **A third of the climbs is missed**: 18 of 27 rendered test climbs are raised (and two in 44 clips without one), 56 of 87 on validation (and one in
  375 others, none in 180 looks at filmed ones through other cameras). Of the 30 that 0.9.0 missed there, 10 begin before the clip: who stands on a chair from the first picture on is
  not known to have climbed it, for nothing here looks at chairs. It takes 20 of 24 ticks, so a climb is told at least 1.3 s after it is first recognised. No real child was ever tried.
- What still alarms, among rendered validation clips: sitting down on the floor, somebody beside furniture.
- Until 0.9.0 the head learnt with three mistakes that the recipe makes no longer: a fifth of the simulated twins were called falls; where two people are in a rendered clip, labels
  could go to the other one; and people cut by the edge of a wide or upright picture were shown as if whole. What it kept, it kept of that head. The encoder has seen photos of every place that stands behind windows and as a backdrop, also in held-out clips.
- The encoder takes all of a picture's levels above 251 for one, and others are off by up to half a level: its calibration cut them. All events above were counted with that.
- The recipe makes a bundle like this one, not the same: trainings stop by the clock, and this head was trained in several stages.
- Lying on the floor without the fall having been seen in the last 4 s is not reported. Lying down fast on purpose, and falls that
  are slow slides, are the hard cases. A fall hidden behind furniture or outside the picture is not seen.
- It is no medical device and does not replace care.
"""


def table(rows):
    head = "| | clips | falls seen | 95 % | delay after contact, median / p90 | false alerts (clips) | hours | false per hour, 95 % upper | climb alerts |\n|---|---|---|---|---|---|---|---|---|\n"
    lines = []
    for name, r in rows.items():
        falls = f"{r['seen']} of {r['falls']}" if r["falls"] else "–"
        wilson = f"{r['recall_95'][0]:.2f}–{r['recall_95'][1]:.2f}" if r["falls"] else "–"
        delay = f"{r['delay_median_s']:+.2f} / {r['delay_p90_s']:+.2f} s" if r["delay_median_s"] is not None else "–"
        lines.append(f"| {name} | {r['clips']} | {falls} | {wilson} | {delay} | {r['false']} ({r['clips_alarmed']}) | {r['hours']:.3f} | {r['false_per_hour_upper_95']} | {r['climb_alerts']} |")
    return head + "\n".join(lines) + "\n"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--bundle", type=Path, required=True)
    args = args.parse_args()
    about = json.loads((args.bundle / "manifest.json").read_text())
    events = json.loads((args.lab / "evaluation.json").read_text())
    measured = json.loads((args.lab / "measured.json").read_text())
    choice = json.loads((args.lab / "choice.json").read_text())
    text = INTRO.format(
        name=about["name"], version=about["version"], encoder_mb=(args.bundle / "encoder.onnx").stat().st_size / 1e6,
        head_mb=(args.bundle / "head.onnx").stat().st_size / 1e6)
    text += "## Events\nAn alert counts if it comes between 0.3 s before the loss of balance and 4 s after contact. A twin is the footage before the\nfall, then frozen for 6 s. The real twins are 10: one clip begins in the fall.\n\n"
    text += table(events["summary"])
    policy = about["policy"]["fall"]
    text += (f"\nPolicy: {policy['k']} of {policy['n']} ticks at or above {policy['enter']}; temperature {about['temperature']}. Chosen on validation\n"
             f"clips ({json.dumps(choice.get('chosen_on', {}))}).\n\n")
    text += "## Pose, and what INT8 costs\nAgainst the teacher (float MoveNet, mirrored average) on GMDCSA-24 frames that none of them learnt from. Found: box overlap\nabove 0.5. Apart: mean joint distance over the box diagonal.\n0.4.0's INT8 encoder finds 1.000 of the upright at 0.038 and 0.983 of the lying at 0.068: this one misses two upright people (of 167) and a lying one (of 59) more, and places joints nearer.\n\n"
    text += "| encoder | upright found / apart | lying found / apart | ms, 1 thread | ms, 2 threads |\n|---|---|---|---|---|\n"
    for name, m in measured["encoders"].items():
        cell = " | ".join(f"{m[k][0]:.3f} of {int(m[k][2])} / {m[k][1]:.3f}" for k in ("upright", "lying"))
        text += f"| {name} | {cell} | {m['ms'][0]:.1f} | {m['ms'][1]:.1f} |\n"
    text += f"\nHead, 1 row and 4 rows, 1 thread: {measured['head_ms'][0]:.2f} and {measured['head_ms'][1]:.2f} ms. {measured['note']}\n" + LIMITS
    text += "\n## What next\nFurniture, so that standing on a chair is known from standing before it; climbs over rails and onto sofas; people who go down fast in the first second; more everyday movement\nnear the floor; real everyday footage.\n"
    (args.bundle / "CARD.md").write_text(text)
    (args.lab / "CARD.md").write_text(text)
    about["provenance"]["scores"] = {k: {n: r[n] for n in ("clips", "falls", "seen", "false", "delay_median_s")} for k, r in events["summary"].items()}
    (args.bundle / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
