#!/bin/bash
# The command line itself: help, version, spellings, precedence, completion.
. "$(dirname "$0")/harness.sh"

accept help -- --help || finish
verbs=$(sed -n '/^Commands:/,/^$/p' out | awk '/^  / {print $1}')
for verb in $verbs; do
  accept "$verb --help" -- "$verb" --help
  cp out help.out
  expect "$verb --help" "Usage: llm $verb" help.out
  expect "$verb --help" "--config FILE" help.out
  for option in --device --dtype --threads --seed --log-level --log-format --quiet --print-config; do
    expect "$verb $option" "  $option " help.out
  done
  accept "help $verb" -- help "$verb"
  cmp -s out help.out || wrong "help $verb" "llm help $verb differs from llm $verb --help"
  refuse "$verb unknown" 2 "unknown option --no-such-option-at-all" -- "$verb" --no-such-option-at-all
  refuse "$verb device" 2 "--device: 'gpu' is not supported; choose auto, cpu, cuda, cuda:N" -- "$verb" --device gpu
  refuse "$verb config" 2 "cannot open config 'nope.yaml': No such file or directory" -- "$verb" --config nope.yaml
  refuse "$verb level" 2 "--log-level: 'all' is not supported; choose debug, info, warn, error" -- "$verb" --log-level all
done

# Defaults that people know by heart (features B24 to B29) stand in the help.
default_in_help() {  # flag: its default in help.out, "none" without one
  awk -v flag="--$1" '
    /^  --/ { name = $1; sub(/,$/, "", name); on = name == flag }
    on { text = text " " $0 }
    END {
      gsub(/ +/, " ", text)
      if (!match(text, /[(;] ?default [^();]*\)$/)) { print "none"; exit }
      text = substr(text, RSTART, RLENGTH - 1)
      sub(/.*default /, "", text)
      print text
    }' help.out
}
while read -r verb flag default; do
  "$PROGRAM" "$verb" --help > help.out
  rows=$((rows + 1)); [ "$(default_in_help "$flag")" = "$default" ] || wrong "$verb --$flag" "its default in the help is '$(default_in_help "$flag")', not '$default'"
done << END
api api-key none
pretrain output-dir checkpoints
pretrain batch-size 8
pretrain learning-rate 1.0e-05
pretrain epochs 1
pretrain gradient-accumulation-steps 4
pretrain use-lmsys-dataset false
finetune model-path checkpoints
finetune output-dir finetuned
finetune batch-size 4
finetune learning-rate 5.0e-06
finetune epochs 3
finetune gradient-accumulation-steps 8
finetune warmup-steps 100
finetune weight-decay 0.1
generate model-path checkpoints
generate max-tokens 100
generate temperature 0.8
generate top-k 0
generate top-p 1.0
generate do-sample true
api host 127.0.0.1
api port 8000
END

# What a verb always refuses is not offered by its help.
while read -r verb flags; do
  "$PROGRAM" "$verb" --help > help.out
  for flag in $flags; do
    holds "$verb --help without $flag" [ "$(grep -c -e "^  $flag " help.out)" = 0 ]
    refuse "$verb $flag" 2 "$flag" -- "$verb" /tmp "$flag" 2
  done
done << END
api --num-return-sequences --top-logprobs
chat --num-beams --num-return-sequences --length-penalty
END

accept version -- --version
for fact in "llm " "commit " "LibTorch " "usable cores" "kernels: " "devices: cpu"; do expect version "$fact" out; done

refuse "version and more" 2 "--version takes nothing more, got 'extra'" -- --version extra

# Spellings.
for spelling in --learning-rate --learning_rate --lr --optimizer.learning_rate --optimizer.learning-rate --optimizer.lr; do
  accept "$spelling" -- pretrain $spelling 0.5 --print-config
  expect "$spelling" "optimizer.learning_rate = 0.5" out
  accept "$spelling=" -- pretrain $spelling=0.25 --print-config
  expect "$spelling=" "optimizer.learning_rate = 0.25" out
done
for spelling in --workers --num-workers --num_workers --data.workers --data.num_workers; do
  for verb in pretrain finetune; do
    accept "$verb $spelling" -- $verb $spelling 3 --print-config
    expect "$verb $spelling" "data.workers = 3 " out
  done
done
holds "a hidden flag is not printed" [ "$(grep -c kill_at_step out)" = 0 ]
accept "human numbers" -- pretrain --max-steps 10k --print-config
expect "human numbers" "training.max_steps = 10000 " out
accept "auto" -- pretrain --max-steps auto --print-config
expect "auto" "training.max_steps = null " out
accept "alias of a verb" -- train --quiet --print-config
expect "switch" "logging.quiet = true " out
accept "switch with a value" -- train --quiet false --print-config
expect "switch with a value" "logging.quiet = false " out
refuse "bare word" 2 "unexpected argument" -- create-config one two three
refuse "short option" 2 "unknown option -x" -- pretrain -x

# Precedence, and where each value came from.
printf 'seed: 1\noptimizer: {lr: 0.1}\n' > c.yaml
accept file -- pretrain --config c.yaml --print-config
expect file "# c.yaml:2:13" out
LLM_LEARNING_RATE=0.2 LLM_SEED=2 accept environment -- pretrain --config c.yaml --print-config
expect environment "# environment LLM_LEARNING_RATE" out
expect environment "# environment LLM_SEED" out
LLM_LEARNING_RATE=0.2 accept flag -- pretrain --lr 0.3 --config c.yaml --print-config
expect flag "# --lr" out
LLM_CONFIG=c.yaml accept "config by variable" -- pretrain --print-config
expect "config by variable" "# c.yaml:1:1" out
refuse "config twice" 2 "--config given twice (c.yaml, then d.yaml)" -- pretrain --config c.yaml --config d.yaml
# What --print-config shows of a file can be given back as flags.
accept "a model config alone" -- pretrain --model.hidden_size 64 --print-config
printf '{"hidden_size": 96, "architectures": ["LlamaForCausalLM"]}' > config.json
accept "Hugging Face config.json" -- pretrain --config config.json --print-config
expect "Hugging Face config.json" "model.hidden_size = 96 " out
accept "a whole one, by its family" -- pretrain --config "$SOURCES/tests/fixtures/hf/gemma3/config.json" --print-config
expect "Gemma 3 has norms of queries and keys" "model.qk_norm = head " out
sed 's/"Gemma3ForCausalLM"/"BertModel"/; s/gemma3_text/bert/' "$SOURCES/tests/fixtures/hf/gemma3/config.json" > bert.json
refuse "a family that is not known" 2 "bert.json: unsupported architecture BertModel (model_type bert)" -- pretrain --config bert.json

# Completion.
for shell in bash zsh fish; do
  accept "completion $shell" -- completion $shell
  cp out $shell.script
done
bash -n bash.script || wrong completion "bash -n"
complete_word() {  # words so far, the last one unfinished
  bash -c 'source bash.script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _llm; printf "%s\n" "${COMPREPLY[@]}"' bash "$@" > out
}
complete_word llm pre
expect "completion of verbs" pretrain out
complete_word llm pretrain --learning
expect "completion of options" --learning-rate out
refuse "completion" 2 "--shell: 'tcsh' is not supported; choose bash, zsh, fish" -- completion tcsh
refuse "completion" 2 "--shell is required" -- completion
finish
