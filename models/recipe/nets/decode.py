"""From dense maps to people, inside the graph: peaks of the centre map, regressed joints refined on the heat maps."""

import torch
from torch.nn import functional as F

JOINTS = 17
VISIBLE = 0.127  # joints above it count for the score of a person, as in MoveNet
SPREAD = 0.09    # of a person's longer side: how far the heat map may pull a joint from where the centre expects it


def _suppress(boxes, score):
    """Score 0 for a box that overlaps a better one by more than 0.65 (intersection over union)."""
    y0, x0, y1, x1 = boxes.unbind(-1)
    area = (y1 - y0) * (x1 - x0)

    def pair(a, op):
        return op(a[:, :, None], a[:, None, :])

    inter = F.relu(pair(y1, torch.minimum) - pair(y0, torch.maximum)) * F.relu(pair(x1, torch.minimum) - pair(x0, torch.maximum))
    iou = inter / (area[:, :, None] + area[:, None, :] - inter + 1e-6)
    score = score - 1e-6 * torch.arange(score.shape[1], device=score.device)  # equal ones: the first stays
    better = (score[:, :, None] < score[:, None, :]).float()
    return F.relu(score) * (1 - ((iou > 0.65).float() * better).amax(2))


def from_maps(maps):
    """`decode`'s `at`, from whole maps."""
    def at(names, rows, cols):
        dense = torch.cat([maps[name] for name in names], 1)
        index = rows * dense.shape[3] + cols
        return torch.gather(dense.flatten(2), 2, index[:, None].expand(-1, dense.shape[1], -1)).transpose(1, 2)

    return at


def decode(maps, people=4, at=None):
    """Maps `centre` (B,1,h,w) and `heat` (B,17,h,w) as logits; `size`, `offset` (B,2,..), `regress`, `kpt_offset` (B,34,..) in
    cells, which are read at a few cells only: they are among the maps, or else `at`(names, rows, cols) gives what they say at the
    cells `rows`, `cols` (B,n), as (B,n, their channels). -> (B, people, 56) in the contract's layout, coordinates 0..1, best first."""
    centre, at = maps["centre"], at or from_maps(maps)
    b, _, h, w = centre.shape
    height = centre + 0.05 * F.avg_pool2d(centre, 3, 1, 1)  # INT8 logits tie; the neighbours say which is the peak
    peak = (height >= F.max_pool2d(height, 5, 1, 2)).float()
    score, index = torch.topk((torch.sigmoid(centre) * peak).flatten(1), people)
    y, x = index // w, index % w

    here = at(("size", "offset", "regress"), y, x)
    size, offset, regress = F.relu(here[..., :2]), here[..., 2:4], here[..., 4:].reshape(b, people, JOINTS, 2)
    corner = torch.stack([y, x], -1).float()
    middle = corner + offset
    joints = corner[:, :, None] + regress

    sigma = (SPREAD * size.amax(-1)).clamp(1.5, 8.0)[..., None, None]
    rows = torch.arange(h, dtype=torch.float32, device=centre.device)
    cols = torch.arange(w, dtype=torch.float32, device=centre.device)
    near_y = torch.exp(-0.5 * ((rows - joints[..., :1]) / sigma) ** 2)
    near_x = torch.exp(-0.5 * ((cols - joints[..., 1:]) / sigma) ** 2)
    near = torch.sigmoid(maps["heat"])[:, None] * near_x[..., None, :]
    found, row = (near.amax(-1) * near_y).max(-1)  # the best row, then its best column: far cheaper than all cells at once
    col = torch.gather(near, 3, row[..., None, None].expand(-1, -1, -1, 1, w))[..., 0, :].argmax(-1)
    fine = at(("kpt_offset",), row.flatten(1), col.flatten(1)).reshape(b, people, JOINTS, JOINTS, 2)
    own = torch.eye(JOINTS, device=centre.device)[..., None]  # of each cell, what it says of the joint that was found there
    fine = (fine * own).sum(3)
    refined = torch.stack([row.float(), col.float()], -1) + fine
    joints = torch.where(found[..., None] > 0.05, refined, joints)

    seen = (found > VISIBLE).float()
    score = score * (found * seen).sum(2) / seen.sum(2).clamp(min=4.0)
    scale = torch.tensor([1.0 / h, 1.0 / w], device=centre.device)
    boxes = torch.cat([(middle - size / 2) * scale, (middle + size / 2) * scale], -1)
    score = _suppress(boxes, score)
    rows = torch.cat([torch.cat([joints * scale, found[..., None]], -1).flatten(2), boxes, score[..., None]], -1)
    _, order = torch.topk(score, people)
    return torch.gather(rows, 1, order[..., None].expand(-1, -1, 3 * JOINTS + 5))
