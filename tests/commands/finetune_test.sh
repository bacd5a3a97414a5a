#!/bin/bash
# Fine-tuning from outside (row B26): from a model and conversations to a model that answers, and every way that is refused.
. "$(dirname "$0")/harness.sh"
for i in $(seq 60); do echo "{\"messages\": [{\"role\": \"user\", \"content\": \"cat $i\"}, {\"role\": \"assistant\", \"content\": \"birds\"}]}"; done > chats.jsonl
quick=(--learning-rate 0.01 --threads 1 --seed 1 --gradient-accumulation-steps 1)

# Learns what the assistant says, and says it; the model that had no chat template is given one.
accept learn -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir sft "${quick[@]}" --logging-steps 1
expect learn 'the model is given a chat template' err
expect learn '54 documents in 54 rows' err
expect learn 'llm chat sft' out
expect learn 'rows: documents' sft/config.yaml
for file in final/chat_template.jinja final/tokenizer.model data/train.mask data/chat_template.jinja; do holds learn test -s "sft/$file"; done
answer() { echo "cat 7" | timeout 60 "$PROGRAM" chat "$1" --temperature 0 --max-tokens 10 2> .err | head -1; }
rows=$((rows + 1)); [ "$(answer sft)" = birds ] || wrong learn "it says '$(answer sft)'"
# Three epochs of 54 documents in steps of four, of whose ids only "birds" and the end are learnt.
ids=$("$PROGRAM" inspect "$TINY/run" --tokens birds 2> .err | grep -cE '^ +[0-9]+ ')
holds learn grep -q '"steps": 41' sft/run.json
holds learn grep -q "\"tokens\": $((41 * 4 * (ids + 1)))," sft/run.json

# The stored config repeats it; a kill changes nothing; so does a dataset prepared before.
CHANGES=allowed accept repeat -- pretrain --config sft/config.yaml --output-dir again
same repeat sft/final/model.safetensors again/final/model.safetensors
same repeat sft/final/chat_template.jinja again/final/chat_template.jinja
("$PROGRAM" finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir killed "${quick[@]}" --save-steps 5 --kill_at_step 13; true) > /dev/null 2>&1
accept killed -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir killed "${quick[@]}" --save-steps 5
expect killed 'resumed from killed/step-00000010' err
same killed sft/final/model.safetensors killed/final/model.safetensors
accept prepared -- prepare-data --input chats.jsonl --tokenizer-path "$TINY/tokenizer.model" --output prep/train --chat-template auto \
  --train-on-prompt false --val-fraction 0.05 --seed 1
expect prepared 'to learn)' out
same prepared prep/train.bin sft/data/train.bin
same prepared prep/train.mask sft/data/train.mask
accept prepared -- prepare-data --info prep/train
expect prepared 'to learn:' out
accept prepared -- prepare-data --verify prep/train --tokenizer-path "$TINY/tokenizer.model"
accept prepared -- finetune --model-path "$TINY/run" --data-path prep/train --output-dir fromprep "${quick[@]}"
same prepared sft/final/model.safetensors fromprep/final/model.safetensors

# Packed rows say the same of the same documents.
packed_loss() {  # directory flag...
  local directory=$1; shift
  accept "$directory" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir "$directory" --threads 1 --seed 1 \
    --learning-rate 0 --max-steps 1 --val-fraction 0.5 --precision 32-true "$@"
  sed -E 's/.*"val_loss":([0-9.]{7}).*/\1/' "$directory/metrics.jsonl" | tail -1
}
rows=$((rows + 1))
[ "$(packed_loss alone)" = "$(packed_loss packed --packing)" ] || wrong packing "$(packed_loss alone) alone, $(packed_loss packed --packing) packed"
expect packing 'rows: packed' packed/config.yaml

# Another template, everything learnt, warm-up, plain texts.
echo "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}" > mine.jinja
accept template -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir mine "${quick[@]}" --chat-template mine.jinja --train-on-prompt true --max-steps 2
same template mine.jinja mine/final/chat_template.jinja
holds template test ! -e mine/data/train.mask
expect warmup 'warmup_steps: 0' mine/config.yaml
accept texts -- finetune --model-path "$TINY/run" --data-path "$TINY/text.txt" --output-dir texts "${quick[@]}" --max-steps 2
holds texts test ! -e texts/final/chat_template.jinja
accept "text, repeated" -- finetune --model-path "$TINY/run" --data-path "$TINY/text.txt" --format text --output-dir astext "${quick[@]}" --max-steps 2
accept "text, repeated" -- pretrain --config astext/config.yaml --output-dir astext2
accept "tokens, repeated" -- finetune --model-path "$TINY/run" --data-path "$TINY/data" --output-dir tokens "${quick[@]}" --max-steps 2
accept "tokens, repeated" -- pretrain --config tokens/config.yaml --output-dir tokens2
same "tokens, repeated" tokens/final/model.safetensors tokens2/final/model.safetensors
accept none -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir plain "${quick[@]}" --chat-template none --max-steps 2
holds none test ! -e plain/final/chat_template.jinja
accept windows -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir windows "${quick[@]}" --rows windows --max-steps 2 --max-seq-length 32

# A dataset knows its template, a run too.
accept own -- prepare-data --input chats.jsonl --tokenizer-path "$TINY/tokenizer.model" --output mine/chats --chat-template mine.jinja --train-on-prompt false
same own mine.jinja mine/chats.jinja
accept own -- finetune --model-path "$TINY/run" --data-path mine/chats --output-dir own "${quick[@]}" --max-steps 1
same own mine.jinja own/final/chat_template.jinja
refuse tokens 2 "data.chat_template (mine.jinja) has no effect with a prepared dataset" "give it to prepare-data" -- finetune --model-path "$TINY/run" \
  --data-path "$TINY/data" --output-dir tokens3 --chat-template mine.jinja
CHANGES=allowed refuse own 3 "was prepared with another chat template than 'sft/final/chat_template.jinja'" -- finetune --model-path "$TINY/run" \
  --data-path mine/chats --output-dir own2 --chat-template sft/final/chat_template.jinja
CHANGES=allowed refuse changed 3 "the run was made with another chat template" "--allow-data-change" -- finetune --config sft/config.yaml \
  --chat-template mine.jinja --max-steps 50
accept unchanged -- pretrain --config sft/config.yaml --max-steps 42
accept auto -- prepare-data --input chats.jsonl --tokenizer-path own --output auto/chats --chat-template auto
same auto mine.jinja auto/chats.jinja
accept packing -- finetune --config sft/config.yaml --output-dir packedtoo --packing --max-steps 10

# Validation without anything to learn is left out.
(for i in 1 2 3; do echo '{"prompt": "a long question that fills the whole of a row and more, and more, and more, until nothing is left of the row", "response": "r"}'; done) > silent_val.jsonl
accept validation -- finetune --model-path "$TINY/run" --data-path chats.jsonl --validation-path silent_val.jsonl --output-dir noval "${quick[@]}" --max-steps 1 --max-seq-length 40
expect validation 'there will be no validation' err

# Other objectives.
for objective in mlm diffusion; do
  accept $objective -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir $objective "${quick[@]}" --objective $objective --packing --max-steps 2
done
for objective in mlm diffusion; do
  refuse causal-$objective 3 "'$objective/final' restores masked tokens and does not go on with a text" -- generate --model-path $objective --prompt a
  refuse causal-$objective 3 "restores masked tokens" -- chat --model-path $objective --prompt a
  accept causal-$objective -- pretrain --config $objective/config.yaml --max-steps 4
done
refuse causal-clm 2 "clm would teach a model that sees later tokens to copy them" "mlm or diffusion" -- finetune --model-path mlm --data-path chats.jsonl --output-dir x
accept causal-goes-on -- finetune --model-path mlm --data-path chats.jsonl --output-dir mlm2 "${quick[@]}" --objective diffusion --max-steps 2
accept schedule -- pretrain --model-path "$TINY/run" --data-path "$TINY/text.txt" --output-dir noisy --objective diffusion --training.noise_schedule sqrt --max-steps 2

# Refusals.
refuse data 2 "--data-path is required" -- finetune --model-path "$TINY/run"
refuse model 3 "no model at 'checkpoints'" -- finetune --data-path chats.jsonl
refuse place 2 "is where the starting model lies" -- finetune --model-path sft --data-path chats.jsonl --output-dir sft
refuse inside 2 "is where the starting model lies" -- finetune --model-path sft/final --data-path chats.jsonl --output-dir sft
refuse packing 2 "--packing and --rows windows cannot be used together" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --packing --rows windows
refuse rows 2 "rows" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --rows pages
refuse warmup 2 "scheduler.warmup_steps (9) exceeds the 2 steps" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --output-dir x --warmup-steps 9 --max-steps 2
mkdir bare && cp "$TINY"/run/final/{config.json,model.safetensors} bare/
refuse tokenizer 3 "bare" -- finetune --model-path bare --data-path chats.jsonl --output-dir x
accept tokenizer -- finetune --model-path bare --tokenizer-path "$TINY/tokenizer.model" --data-path chats.jsonl --output-dir named "${quick[@]}" --max-steps 1
echo '{"messages": [{"role": "user", "content": "a"}]}' > silent.jsonl
refuse 7.4.16 3 "silent.jsonl:1: no assistant message to learn from" -- finetune --model-path "$TINY/run" --data-path silent.jsonl --output-dir x
echo "{% endfor %}" > broken.jinja
refuse template 3 "chat_template line 1: unexpected 'endfor'" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --chat-template broken.jinja --output-dir x
refuse template 3 "absent.jinja" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --chat-template absent.jinja --output-dir x
echo "{{ raise_exception('only poems') }}" > poems.jinja
refuse template 3 "the template refuses: only poems" -- finetune --model-path "$TINY/run" --data-path chats.jsonl --chat-template poems.jinja --output-dir x
refuse length 3 "has a token to learn among its first 5" -- finetune --model-path "$TINY/run" --data-path prep/train --max-seq-length 4 --output-dir x

# Damaged masks.
damaged() { rm -rf bad; mkdir bad; cp prep/train.* bad/; }
damaged; truncate -s -1 bad/train.mask
refuse mask 3 "train.mask': truncated" -- finetune --model-path "$TINY/run" --data-path bad/train --output-dir x
damaged; cp prep/val.mask bad/train.mask
refuse mask 3 "belongs to another dataset" -- finetune --model-path "$TINY/run" --data-path bad/train --output-dir x
damaged; printf 'x' | dd of=bad/train.mask bs=1 seek=70 conv=notrunc 2> /dev/null
refuse mask 3 "tokens to learn, the mask has" -- prepare-data --verify bad/train
damaged; printf 'x' >> bad/train.mask
refuse mask 3 "1 unexpected bytes after the mask" -- prepare-data --info bad/train
finish
