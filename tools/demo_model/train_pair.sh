#!/bin/sh
# Trains the pair on one machine: builds demo_dump, makes the texts in the
# background, trains and refines the target, trains the draft, evaluates both.
# Stops where a step of the training is not finished in its seconds.
#   train_pair.sh WORK_FOLDER SECONDS_TARGET SECONDS_DRAFT
set -e
here=$(dirname "$0")
root=$here/../..
work=$1
mkdir -p "$work"
gcc -O2 -D_GNU_SOURCE -I"$root" -o "$work/demo_dump" "$here/demo_dump.c" \
    "$root/text/demo_text.c" "$root/text/demo_words.c" "$root/common/mem.c" "$root/common/status.c"
tokenizer=$root/experiments/demo/target/tokenizer.json
python3 "$here/make_pools.py" "$work/demo_dump" "$tokenizer" "$work/pools" 14 &
for plan in target refine draft; do
    seconds=$2 folder=target
    if [ $plan = draft ]; then seconds=$3 folder=draft; fi
    python3 "$here/train.py" $plan "$work/demo_dump" "$tokenizer" "$work/pools" \
        "$work/$plan.pt" "$work/$folder" "$seconds"
done
wait
python3 "$here/evaluate.py" "$work/demo_dump" "$work/target" "$work/draft" 4000000000 16 128 \
    2048 8192 16384 32768 > "$work/evaluation.json"
