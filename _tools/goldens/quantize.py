"""Writes tests/fixtures/gguf/quantize.json: 64 blocks of 32 float32 values as gguf-py quantizes them (pip install gguf).

Among them: zeros, ties of both signs, halves between two steps, numbers whose scale is subnormal in f16.
"""

import base64
import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants

rng = np.random.default_rng(7)
rows = (rng.standard_normal((64, 32)) * np.exp2(np.arange(64) % 24 - 16)[:, None]).astype(np.float32)
rows[1] = 0
rows[2] = np.where(np.arange(32) % 2 == 0, 3, -3)
rows[3] = -rows[2]
rows[4] = np.arange(32) - 15.5
rows[4, 0] = 127
rows[5] = np.arange(32) / 4 - 4
rows[5, 9] = -8
rows[6] = 1e-7

text = lambda array: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
golden = {"gguf": "gguf-py", "cols": 32, "f32": text(rows), "f16": text(rows.astype(np.float16))}
for name, kind in [("bf16", T.BF16), ("q8_0", T.Q8_0), ("q4_0", T.Q4_0), ("q4_1", T.Q4_1)]:
    golden[name] = text(quants.quantize(rows, kind))
(Path(__file__).parents[2] / "tests/fixtures/gguf/quantize.json").write_text(json.dumps(golden, indent=1) + "\n")
