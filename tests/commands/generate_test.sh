#!/bin/bash
# llm generate from outside: what it prints where, the effect of every flag, streams, context policies, refusals.
. "$(dirname "$0")/harness.sh"
run=$TINY/run
base=(generate --model-path "$run" --prompt "Line 7: the cat" --max-tokens 12 --seed 3)
greedy=(generate --model-path "$run" --prompt "Line 7: the cat" --max-tokens 12 --temperature 0)

untimed() { grep -v '_ms"\|per_second"' out; }
utf8() { rows=$((rows + 1)); iconv -f utf-8 -t utf-8 < "$2" > .iconv 2> .err || { command=("(the file $2)"); wrong "$1" "it is not UTF-8"; }; }

# What is printed where.
accept "text on stdout, logs on stderr" -- "${base[@]}"
cp out plain
expect "prefix and prompt come first" "Generated: Line 7: the cat" plain
expect "the speed is logged" "tok/s" err
expect "the seed is logged" "seed 3" err
rows=$((rows + 1)); if grep -q 'tok/s' plain; then wrong "stdout holds results only" "a log line is in it"; fi
accept "the same seed again" -- "${base[@]}"; same "the same seed gives the same text" plain out
accept "the model as a bare word" -- generate "$run" "${base[@]:3}"; same "the model may be a bare word" plain out
accept "a checkpoint" -- generate "$run/final" "${base[@]:3}"; same "a run means its last model" plain out
accept "one thread" -- "${base[@]}" --threads 1; same "threads do not change the text" plain out
accept "quiet" -- "${base[@]}" --quiet; same "quiet changes no result" plain out
rows=$((rows + 1)); if [ -s err ]; then wrong "--quiet" "stderr is not empty"; fi
printf 'Line 7: the cat\n' > prompt
STDIN=prompt
accept "the prompt from stdin" -- generate "$run" --prompt - "${base[@]:5}"; same "stdin gives the prompt" plain out
STDIN=
accept "an empty prompt" -- generate "$run" --prompt "" --max-tokens 3
accept "no new tokens" -- generate "$run" --prompt "abc" --max-tokens 0
rows=$((rows + 1)); [ "$(cat out)" = "Generated: abc" ] || wrong "--max-tokens 0" "the prompt alone is due"

# Streams: whole characters only, and in the end the same text. The model has seen four steps: it writes many broken characters.
for seed in 1 2 3 4 5 6; do
  accept "stream, seed $seed" -- generate "$run" --prompt "é" --max-tokens 40 --seed $seed --temperature 2 --stream; cp out streamed
  accept "no stream, seed $seed" -- generate "$run" --prompt "é" --max-tokens 40 --seed $seed --temperature 2
  same "streamed text is the final text, seed $seed" streamed out
  utf8 "a stream is valid UTF-8, seed $seed" streamed
done

# JSON: one object, every key; ids and text agree with the plain line.
accept "json" -- "${base[@]}" --json
for key in prompt prompt_token_ids text token_ids finish_reason seed timing ttft_ms tpot_ms total_ms prompt_tokens_per_second tokens_per_second; do
  expect "json has $key" "\"$key\":" out
done
expect "length is the reason" '"finish_reason": "length"' out
expect "json has the seed" '"seed": 3' out
holds "twelve tokens have a time a token" grep -q '"tpot_ms": [0-9]' out
rows=$((rows + 1)); [ "$(head -c 1 out)" = "{" ] || wrong "one prompt" "one object is due"
mapfile -t ids < <(sed -n '/"token_ids"/,/\]/p' out | sed -n '/^  "token_ids"/,$p' | grep -oE '^ +[0-9]+' | tr -d ' ')
rows=$((rows + 1)); [ "${#ids[@]}" = 12 ] || wrong "token_ids" "12 ids are due, not ${#ids[@]}"
accept "json of one token" -- generate "$run" --prompt abc --max-tokens 1 --json
expect "one token has none" '"tpot_ms": null' out

# Every flag that shapes the text changes it.
for change in "--max-tokens 5" "--seed 4" "--temperature 0.1" "--top-k 1" "--top-p 0.01" "--min-p 1" "--do-sample false" "--num-return-sequences 2" "--return-text false"; do
  read -r -a flag <<< "$change"
  changed=("${base[@]}")
  for i in "${!changed[@]}"; do [ "${changed[$i]}" = "${flag[0]}" ] && unset "changed[$i]" "changed[$((i + 1))]"; done
  accept "$change" -- "${changed[@]}" "${flag[@]}"; differ "$change changes the output" plain out
done
# Penalties and the pad id show in the probabilities whatever is drawn.
accept "probabilities" -- "${base[@]}" --json --return-probs; untimed > probabilities
expect "probabilities are reported" '"probs":' out
for change in "--repetition-penalty 1.5" "--frequency-penalty 2" "--presence-penalty 2"; do
  read -r -a flag <<< "$change"
  accept "$change" -- "${base[@]}" --json --return-probs "${flag[@]}"; untimed > changed
  differ "$change changes the probabilities" probabilities changed
done
accept "penalty" -- "${base[@]}" --json --return-probs --repetition-penalty 1.5; untimed > changed
accept "pad" -- "${base[@]}" --json --return-probs --repetition-penalty 1.5 --pad-token-id "${ids[0]}"; untimed > padded
differ "--pad-token-id takes its token out of the penalty" changed padded
for key in logprobs:--return-logprobs prompt_logprobs:--return-input-logprobs; do
  accept "${key#*:}" -- "${base[@]}" --json "${key#*:}"; expect "${key#*:} reports ${key%%:*}" "\"${key%%:*}\":" out
done
sed -n '/"prompt_logprobs"/,/\]/p' out > of_prompt
accept "beams report" -- "${base[@]}" --json --num-beams 2 --return-input-logprobs --top-logprobs 2
sed -n '/"prompt_logprobs"/,/\]/p' out > of_beams; same "a prompt's log probabilities are the same with beams" of_prompt of_beams
holds "twelve places have two tokens each" [ "$(sed -n '/"top_logprobs"/,/^  \]/p' out | grep -c '"id"')" = 24 ]

# Stopping.
accept "an end-of-text id" -- "${base[@]}" --json --eos-token-id "${ids[2]}"; expect "an end-of-text id stops" '"finish_reason": "stop"' out
accept "ignore" -- "${base[@]}" --eos-token-id "${ids[2]}" --ignore-eos; same "--ignore-eos goes on" plain out
accept "stop early" -- "${base[@]}" --eos-token-id "${ids[2]}"; cp out stopped; differ "--eos-token-id stops" plain out
accept "not before" -- "${base[@]}" --eos-token-id "${ids[2]}" --min-new-tokens 12; differ "--min-new-tokens goes on" stopped out
stop=$(sed 's/^Generated: Line 7: the cat//' plain | iconv -f utf-8 -t utf-16le | iconv -f utf-16le -t utf-8 | grep -oE '[[:alnum:]]' | head -1)
if [ -n "$stop" ]; then
  accept "a stop string" -- "${base[@]}" --stop nothing "$stop" --json; expect "a stop string stops" '"finish_reason": "stop_string"' out
fi

# Several prompts: an array, each as it would be alone.
printf 'Line 7: the cat\nbirds\n\nand looked at\n' > prompts
accept "several prompts" -- generate "$run" --prompt-file prompts --max-tokens 12 --seed 3; cp out together
rows=$((rows + 1)); [ "$(grep -c '^Generated: ' together)" -ge 3 ] || wrong "--prompt-file" "three results are due"
: > alone
while IFS= read -r line; do
  [ -n "$line" ] && { accept "alone: $line" -- generate "$run" --prompt "$line" --max-tokens 12 --seed 3; cat out >> alone; }
done < prompts
same "batched equals alone" alone together
printf '\357\273\277Line 7: the cat\r\nbirds\r\nand looked at' > windows
accept "a byte order mark is no text" -- generate "$run" --prompt-file windows --max-tokens 12 --seed 3; same "lines of another system" together out
STDIN=.
refuse "standard input cannot be read" 4 "cannot read standard input: Is a directory" -- generate "$run" --prompt -
STDIN=
accept "one at a time" -- generate "$run" --prompt-file prompts --max-tokens 12 --seed 3 --batch-size 1; same "--batch-size changes no text" together out
accept "several streams" -- generate "$run" --prompt-file prompts --max-tokens 12 --seed 3 --stream; same "streams come one after another" together out
accept "several as json" -- generate "$run" --prompt-file prompts --max-tokens 2 --json
rows=$((rows + 1)); [ "$(head -c 1 out)" = "[" ] || wrong "several prompts" "an array is due"
rows=$((rows + 1)); [ "$(grep -c '"finish_reason"' out)" = 3 ] || wrong "several prompts" "three objects are due"

# The context of this model is 64 tokens.
long=$(printf 'Line %s: the cat sat on the mat. ' 1 2 3 4 5 6 7 8 9 10 11 12)
refuse "an overlong prompt" 2 "this model's context is 64 with the answer" -- generate "$run" --prompt "$long" --max-tokens 5 --stream
accept "truncate-left" -- generate "$run" --prompt "$long" --max-tokens 20 --seed 3 --max-context-policy truncate-left --json; untimed > truncated
expect "what was dropped is said" '"prompt_tokens_dropped":' out
accept "slide" -- generate "$run" --prompt "$long" --max-tokens 90 --seed 3 --max-context-policy slide --json; untimed > slid
expect "all new tokens are written" '"finish_reason": "length"' out
differ "policies differ" truncated slid
accept "more than fits" -- generate "$run" --prompt "cat" --max-tokens 500 --seed 3
expect "it is said that the length was cut" "is cut to the context of 64 tokens" err

# Settings from the model directory, and what wins over them.
mkdir -p own && cp -r "$run/final/." own/ && cp "$TINY/tokenizer.model" own/
printf '{"temperature": 0, "eos_token_id": [2, 3],}' > own/generation_config.json
accept "greedy" -- "${greedy[@]}"; cp out argmax
accept "generation_config.json" -- generate own "${base[@]:3:4}" --seed 9; same "the model's settings hold" argmax out
accept "a flag wins" -- generate own "${base[@]:3}" --temperature 0.8; same "a flag wins over the model's settings" plain out
accept "beams" -- "${base[@]}" --num-beams 3 --length-penalty 5; cp out beams
printf '{"num_beams": 3, "length_penalty": 5, "early_stopping": "never"}' > own/generation_config.json
accept "a model's beams" -- generate own "${base[@]:3}"; same "the model's settings of beams hold" beams out
printf '{"add_bos_token": true}' > own/tokenizer_config.json
accept "bos" -- generate own --prompt cat --max-tokens 1 --json; expect "a begin token is put first where the model was trained so" '    1,' out
printf 'generation: {temperature: 0}\n' > settings.yaml
accept "--config" -- "${base[@]}" --config settings.yaml; same "a config file sets the generation" argmax out
for file in "$run/config.yaml" "$SOURCES"/config/*; do
  accept "--config of a run: $(basename "$file")" -- "${base[@]}" --config "$file" --temperature 0
  same "the other sections of $(basename "$file") do not matter here" argmax out
done
printf 'serving: {port: 8123}\nlogging: {logging_step: 3}\n' > mistyped.yaml
refuse "--config with a slip" 2 "mistyped.yaml:2:11: unknown key logging.logging_step" -- "${base[@]}" --config mistyped.yaml

# A draft model; one that fills mask tokens in parallel says which token (pard_token).
cp -r "$run/final" parallel && cp "$TINY/tokenizer.model" parallel/
sed -i 's/^{/{"pard_token": 4,/' parallel/config.json
for draft in "$run" parallel; do
  for guesses in 1 2 12; do
    accept "draft $draft, $guesses" -- "${base[@]}" --draft-model-path $draft --num-speculative-tokens $guesses
    same "the text is the same with $guesses guesses of $draft" plain out
  done
done
sed 's/"pard_token": 4,/"pard_token": 40000,/' parallel/config.json > wrong.json && cp -r parallel elsewhere && mv wrong.json elsewhere/config.json
refuse "a mask token that is none" 2 "pard_token 40000 is not a token of the draft" -- "${base[@]}" --draft-model-path elsewhere --num-speculative-tokens 2

# Refusals.
refuse "a stop that is no text" 2 "stop strings must be valid UTF-8" -- generate "$run" --prompt a --stop $'\xff'
refuse "no prompt" 2 "--prompt is required" "--prompt-file" -- generate "$run"
refuse "two prompts" 2 "--prompt and --prompt-file cannot be used together" -- generate "$run" --prompt a --prompt-file prompts
refuse "no prompt file" 2 "cannot open prompts 'nope': No such file or directory" -- generate "$run" --prompt-file nope
refuse "a folder of prompts" 2 "'own' is a directory" -- generate "$run" --prompt-file own
refuse "too many beams" 2 "--num-beams" -- "${base[@]}" --num-beams 65
refuse "a draft without guesses" 2 "--draft-model-path needs --num-speculative-tokens" -- "${base[@]}" --draft-model-path "$run"
refuse "a filter without a draw" 2 "--top-k (5) has no effect with --do-sample false" "--do-sample true draws; leave it out" -- "${base[@]}" --do-sample false --top-k 5
refuse "before a model is opened" 2 "--top-p (0.9) has no effect with --temperature 0.0" "--temperature above 0 draws; leave it out" -- generate nowhere --prompt a --temperature 0 --top-p 0.9
refuse "a setting of beams without beams" 2 "--length-penalty (2.0) has no effect with --num-beams 1" "--num-beams above 1 reads it; leave it out" -- "${base[@]}" --length-penalty 2
refuse "a report that nobody sees" 2 "--return-logprobs (true) has no effect without --json" "--json reports it; leave it out" -- "${base[@]}" --return-logprobs
accept "what says the same" -- "${base[@]}" --do-sample false --temperature 0 --top-k 1; same "twice no draw" argmax out
printf '{"do_sample": false}' > own/generation_config.json
accept "a filter beside a model that does not draw" -- generate own "${base[@]:3}" --top-k 5
expect "it is said" "--top-k (5) has no effect with --do-sample false of the model's generation_config.json: --do-sample true draws" err
refuse "two grammars" 2 "--grammar and --json-schema cannot be used together" -- "${base[@]}" --grammar a --json-schema b
refuse "no grammar file" 2 "cannot open grammar 'nope.gbnf'" -- "${base[@]}" --grammar nope.gbnf
refuse "more texts than a stream shows" 2 "--stream shows one text" -- "${base[@]}" --stream --num-beams 2 --num-return-sequences 2
refuse "stream and json" 2 "--stream and --json cannot be used together" -- "${base[@]}" --stream --json
refuse "too hot" 2 "--temperature: 9 is outside 0 to 2" -- generate "$run" --prompt a --temperature 9
refuse "top-p" 2 "--top-p: 1.5 is outside 0 to 1" -- "${base[@]}" --top-p 1.5
refuse "min-p" 2 "--min-p: -1 is outside 0 to 1" -- "${base[@]}" --min-p -1
refuse "top-k" 2 "--top-k: '-1'" -- "${base[@]}" --top-k -1
for flag in json-schema grammar adapter draft-model-path tokenizer-path encryption-key-file prompt-file; do
  refuse "--$flag with a variable that is not set" 2 "--$flag: an empty value changes nothing; leave the flag out" -- "${base[@]}" --$flag ""
done
refuse "an empty stop string" 2 "--stop" -- "${base[@]}" --stop ""
refuse "no such policy" 2 "--max-context-policy: 'wrap' is not supported" -- "${base[@]}" --max-context-policy wrap
refuse "an unknown flag" 2 "unknown option --temprature" "--temperature" -- "${base[@]}" --temprature 1
refuse "no model" 3 "no model at 'nowhere'" "llm pretrain" -- generate --model-path nowhere --prompt a
refuse "no model in the default place" 3 "no model at 'checkpoints'" "llm pretrain" -- generate --prompt a
refuse "no such eos" 2 "eos_token_id 999 is not a token of this model" -- "${base[@]}" --eos-token-id 999
printf '{"eos_token_id": 99999}' > own/generation_config.json
refuse "an end of text that the model does not know" 3 "own/generation_config.json: eos_token_id 99999 is not below vocab_size" -- generate own --prompt a
printf '{"top_p": "high"}' > own/generation_config.json
refuse "a damaged generation_config.json" 3 "top_p" -- generate own --prompt a
head -c 100 "$TINY/tokenizer.model" > own/tokenizer.model
refuse "a damaged tokenizer" 3 "tokenizer" -- generate own --prompt a
rm own/tokenizer.model own/tokenizer.json
refuse "no tokenizer" 3 "tokenizer" -- generate own --prompt a
accept "--tokenizer-path" -- generate "$run" --tokenizer-path "$TINY/tokenizer.model" "${base[@]:3}"; same "the tokenizer may be named" plain out

# Ended before its first text, while many prompts are read.
seq 200000 | sed 's/$/ and some words of a prompt/' > many.txt
"$PROGRAM" generate --model-path "$TINY/run" --prompt-file many.txt --stream --max-tokens 4 --max-context-policy truncate-left > .out 2> .err &
pid=$!
for _ in $(seq 1000); do if grep -q '^seed' .err; then break; fi; sleep 0.01; done
kill -s INT $pid
wait $pid
status=$?
holds "ended before its first text: exit status $status" [ $status = 130 ]

# Ended among many texts: those that wait are not begun.
seq 20000 | sed 's/$/ and some words/' > many.txt
"$PROGRAM" generate --model-path "$TINY/run" --prompt-file many.txt --max-tokens 40 --ignore-eos > .out 2> .err &
pid=$!
for _ in $(seq 1000); do if grep -q '^seed' .err; then break; fi; sleep 0.01; done
sleep 1
kill -s INT $pid
began=$SECONDS
wait $pid
status=$?
holds "ended among many: exit status $status" [ $status = 130 ]
holds "ended among many: after $((SECONDS - began)) s" [ $((SECONDS - began)) -lt 10 ]
finish
