"""Makes token pools in the background, one .npy file per task, in order.

    make_pools.py DEMO_DUMP TOKENIZER_JSON FOLDER N_PROCESSES [POOL ...]

A file appears under its name only when it is complete.
"""

import os
import sys
from multiprocessing import Pool

import numpy as np

from demo_data import make_pool
from demo_stages import POOLS


def make(task):
    dump, tokenizer, folder, name, part, seed, n_texts, n_tokens, n_attributes = task
    pool = make_pool(dump, tokenizer, seed, n_texts, n_tokens, n_attributes)
    path = os.path.join(folder, f"{name}.{part}.npy")
    with open(path + ".part", "wb") as file:
        np.save(file, pool)
    os.replace(path + ".part", path)


def main():
    dump, tokenizer, folder, n_processes = sys.argv[1:5]
    wanted = sys.argv[5:]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.makedirs(folder, exist_ok=True)
    tasks = []
    for pool in POOLS:
        if wanted and pool.name not in wanted:
            continue
        each = pool.n_texts // pool.n_parts
        for part in range(pool.n_parts):
            seed = pool.seed + part * each
            tasks.append(
                (
                    dump,
                    tokenizer,
                    folder,
                    pool.name,
                    part,
                    seed,
                    each,
                    pool.n_tokens,
                    pool.n_attributes,
                )
            )
    with Pool(int(n_processes)) as workers:
        for _ in workers.imap(make, tasks):
            pass


if __name__ == "__main__":
    main()
