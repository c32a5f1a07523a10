"""Every constant that two files must agree on."""

CLASSES = ("normal", "fall", "fallen", "climb")
HEIGHT, WIDTH = 192, 256       # the fitted picture
PAD = 0                        # grey of the bars beside it
STRIDE = 4                     # of the dense maps
PEOPLE, JOINTS = 4, 17
FEATURES = 3 * JOINTS + 5      # of one person, contract's F but for what stands behind them
EMBEDDING = 1                  # contract's E: how surely the person is up on something (`nets/aloft.py`)
SCORE = 3 * JOINTS + 4         # of a person, in those
CELL = 16                      # side of a cell of the motion grid, pixels
GRID = (HEIGHT // CELL, WIDTH // CELL)
SCENE = 2 * GRID[0] * GRID[1]  # motion, then brightness: contract's G
TICKS, RATE = 64, 15.0
MIN_TICKS = 15                 # 1 s: whoever bends or kneels as the pictures begin is taken for somebody who falls
HOLD_TICKS = 3                 # 5 fps still works; 8 fps repeats at most once
TRACKER = {"min_score": 0.04, "start_score": 0.1, "start_overlap": 0.3, "gate": 0.6, "gate_growth": 0.1, "max_missed": 45}
OPSET = 17
PERCENTILE = 99.99             # of what a map says in the calibration pictures: what lies beyond ends there in eight bits
SECOND_LOOK = {"from": 0.4, "frames": 15}  # from the lowest bar that `choose.py` tries
SEED = 20261124

FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)  # keypoints of the mirrored picture
