"""The plan of the training: texts, stages and seeds. Everything is counted in steps.

Seeds: training texts from 1e9 up, validation (watching, choosing) from 2e9,
reported figures from 4e9.
"""

from dataclasses import dataclass

from demo_net import Shape

TARGET = Shape(n_layers=8, width=128, n_heads=2, ffn=384)
DRAFT = Shape(n_layers=2, width=64, n_heads=2, ffn=192, theta=10000.0, sinks=16, window=232)

VALIDATION_SEED = 2 * 10**9


@dataclass(frozen=True)
class TextPool:
    name: str
    n_tokens: int  # one more than a stage's window
    n_attributes: int
    n_texts: int
    n_parts: int
    seed: int


@dataclass(frozen=True)
class Stage:
    pool: str
    window: int
    batch: int
    n_steps: int
    retrieval: float  # weight of the retrieval loss
    n_positions: int = 4  # at which it is taken, per text
    near: bool = False  # take half of the rows it should serve from the next 48
    jump: bool = False  # leave out stretches of positions, as if of a longer text


POOLS = [
    TextPool("validation-2k", 2049, 0, 32, 1, VALIDATION_SEED),
    TextPool("train-2k", 2049, 0, 32000, 16, 10**9),
    TextPool("validation-8k", 8193, 0, 16, 1, VALIDATION_SEED + 100),
    TextPool("validation-32k", 32769, 0, 8, 1, VALIDATION_SEED + 200),
    TextPool("train-8k", 8193, 0, 12800, 32, 11 * 10**8),
    TextPool("train-32k", 32769, 0, 3200, 32, 12 * 10**8),
]


@dataclass(frozen=True)
class Plan:
    shape: Shape
    stages: tuple
    matrix_rate: float
    vector_rate: float
    decay_from: float  # share of all steps after which the rates fall to nearly 0


PLANS = {
    "target": Plan(
        TARGET,
        (
            Stage("train-2k", 2048, 64, 800, 0.1, jump=True),
            Stage("train-8k", 8192, 16, 1800, 0.1, 8),
            Stage("train-32k", 32768, 6, 2000, 0.1, 16),
        ),
        matrix_rate=0.01,
        vector_rate=2e-3,
        decay_from=0.45,
    ),
    # Goes on from the exported target at a fifth of its rates.
    "refine": Plan(
        TARGET,
        (Stage("train-32k", 32768, 6, 900, 0.3, 24, near=True),),
        matrix_rate=0.002,
        vector_rate=4e-4,
        decay_from=0.0,
    ),
    "draft": Plan(
        DRAFT,
        (Stage("train-8k", 1024, 64, 2500, 0.0),),
        matrix_rate=0.01,
        vector_rate=2e-3,
        decay_from=0.45,
    ),
}
