#!/bin/sh
# Trains the pair on one machine: builds demo_dump, makes the texts in the
# background, then trains the target and the draft and
# evaluates them.
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
for net in target draft; do
    seconds=$2
    [ $net = draft ] && seconds=$3
    python3 "$here/train.py" $net "$work/demo_dump" "$tokenizer" "$work/pools" \
        "$work/$net.pt" "$work/$net" "$seconds"
done
wait
python3 "$here/evaluate.py" "$work/demo_dump" "$work/target" "$work/draft" 16 128 \
    2048 8192 16384 32768 > "$work/evaluation.json"
