#!/bin/bash
# --quantize: what rounded weights cost a model that has learnt something, who may not have them, and that every verb takes them.
. "$(dirname "$0")/harness.sh"

# A model that knows its text: 200 steps on lines that are alike.
cp "$TINY"/{text.txt,tokenizer.model,data.bin,data.index,data.sum} .
sed -e 's/max_steps: 4, eval_steps: 2/max_steps: 200, eval_steps: 0/' -e 's/learning_rate: 0.001/learning_rate: 0.01/' -e 's/save_steps: 2/save_steps: 0/' "$TINY/config.yaml" > config.yaml
accept "a model that has learnt" -- pretrain --config config.yaml --data-path data --tokenizer-path tokenizer.model --output-dir run --threads 1

# The mean negative log likelihood of a line that was not in the text.
nll() {
  "$PROGRAM" generate run --prompt "Line 301: the cat number 7 sat on the mat and looked at 3 birds." --max-tokens 0 --return-input-logprobs true --json --quiet --threads 1 "$@" > nll.json 2> err || return 1
  sed -n '/"prompt_logprobs"/,/\]/p' nll.json | grep -oE -- '-[0-9.]+(e-?[0-9]+)?' | awk '{ sum -= $1 } END { printf "%.6f", sum / NR }'
}
if ! grep -qw avx2 /proc/cpuinfo; then
  refuse "no AVX2" 2 "--quantize int8: weights can be rounded only where a model runs packed on the CPU" "leave it out" -- generate run --prompt a --quantize int8
  finish
fi
whole=$(nll)
holds "the text is known ($whole)" awk -v x="$whole" 'BEGIN { exit !(x > 0 && x < 1.5) }'
for row in int8:0.01 fp8:0.03 int4:0.1; do  # nats a token, of some 1.0
  codes=${row%:*} most=${row#*:}
  rounded=$(nll --quantize "$codes")
  holds "$codes changes the likelihood ($rounded)" [ "$rounded" != "$whole" ]
  holds "$codes costs less than $most ($whole, $rounded)" awk -v a="$whole" -v b="$rounded" -v most="$most" 'BEGIN { d = b - a; exit !(d < most && d > -most) }'
  holds "$codes is said" grep -q "weights in $codes" <("$PROGRAM" generate run --prompt a --max-tokens 1 --quantize "$codes" 2>&1 > /dev/null)
  accept "$codes alone" -- generate run --prompt "Line 7: the cat" --max-tokens 20 --temperature 0 --quantize "$codes"; cp out alone
  printf 'Line 7: the cat\nLine 12\nthe mat and looked\nbirds' > prompts
  accept "$codes in a crowd" -- generate run --prompt-file prompts --max-tokens 20 --temperature 0 --quantize "$codes"
  holds "$codes: the same text alone and in a crowd" grep -qxF "$(head -n 1 alone)" out
done
printf '/exit\n' > turns
STDIN=turns accept "chat takes it" -- chat run --quantize int8
expect "and says so" "weights in int8" err

# Refusals.
refuse "no such codes" 2 "quantize: 'int2' is not supported; choose none, int8, fp8, int4" -- generate run --prompt a --quantize int2
sed -e 's/^model: {/model: {position_embedding_type: alibi, /' -e 's/max_steps: 200/max_steps: 1/' config.yaml > alibi.yaml
accept "a model that does not run packed" -- pretrain --config alibi.yaml --data-path data --tokenizer-path tokenizer.model --output-dir alibi --threads 1
refuse "it has no codes" 2 "--quantize int8: weights can be rounded only where a model runs packed on the CPU: position_embedding_type is alibi" "leave it out" -- generate alibi --prompt a --quantize int8
finish
