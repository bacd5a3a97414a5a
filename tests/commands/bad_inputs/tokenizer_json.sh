#!/bin/bash
# reliability 7.3, the rows of tokenizer.json, tiktoken files and chat templates; 7.5.12: weights that are no numbers.
. "$(dirname "$0")/../harness.sh"
model=$TINY/run/final
cut() { refuse "$1" 3 "$2" -- inspect "$model" --tokens a --tokenizer-path "$3"; }

for i in {0..15}; do echo "$(printf '%b' "\\x$(printf %x $((97 + i)))" | base64) $i"; done > tokenizer.model
echo "Zm9v x" >> tokenizer.model
cut 7.3.5 "line 17: not a base64 token and a rank" tokenizer.model
for i in {0..255}; do echo "$(printf '%b' "\\x$(printf %02x "$i")" | base64) $i"; done > tokenizer.model
printf 'YWI= 256\nYWJj 257\n' >> tokenizer.model
accept "7.3.5, a good one" -- inspect "$model" --tokens "abcab a" --tokenizer-path tokenizer.model
expect "7.3.5, merges by rank" "7 bytes, 4 tokens" out
echo '{"model": {"type": "WordPiece", "vocab": {"a": 0}}}' > word_piece.json
cut 7.3.14 "'word_piece.json': tokenizer.json model type 'WordPiece' is not supported (BPE, Unigram are)" word_piece.json
echo '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a xyz"]}}' > merge.json
cut 7.3.15 "merge 0 uses 'xyz', which is not in the vocabulary" merge.json
echo '{"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Metaspace"}, {"type": "Numerals"}]},
       "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}' > steps.json
cut 7.3.16 "pre_tokenizer 'Metaspace+Numerals' not supported; result would differ" steps.json
echo '{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a(b[c]*"}, "behavior": "Isolated", "invert": false},
       "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}' > pattern.json
cut 7.3.17 "pre_tokenizer pattern is invalid at offset 7: missing closing parenthesis" pattern.json
echo '{"added_tokens": [{"id": 0, "content": "<x>", "special": true}], "model": {"type": "BPE", "vocab": {"the": 0}, "merges": []}}' > added.json
cut 7.3.18 "added token '<x>' has id 0, already used by 'the'" added.json
cp -r "$model" chat; printf '{%% for m in messages %%}\nx\n{%% endif %%}' > chat/chat_template.jinja
refuse 7.3.19 3 "chat_template line 3: unexpected 'endif'" -- convert chat --output chat.gguf

# 3.5: what a template wants, a chat with it is refused; the rest of them is in tests/tokenizer/hostile_templates_test.cpp.
template() { printf '%s' "$2" > chat/chat_template.jinja; refuse "$1" 3 "chat_template line 1: $3" -- chat chat -p a; }
template range '{% for i in range(10**9) %}{% endfor %}' "range is longer than 100000"
template "a long text" "{{ 'a' * 10**9 }}" "makes a text of more than 8388608 bytes"
template "a way out" "{{ ''.__class__.__mro__ }}" "the attribute '__class__' of str is out of reach"
template recursion '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}' "calls itself too often"
template "a file" "{% include '/etc/passwd' %}" "the tag 'include' is not supported in a chat template"
template nesting "{{ $(head -c 100000 /dev/zero | tr '\0' '(')1$(head -c 100000 /dev/zero | tr '\0' ')') }}" "nesting deeper than 100"
refuse "nesting, served" 3 "chat_template line 1: nesting deeper than 100" -- api chat --port 0

# The last eight values of the file's last tensor but one become NaN; training says so before its first step.
cp -r "$model" nan; chmod -R u+w nan
printf '\377%.0s' {1..32} | dd of=nan/model.safetensors bs=1 seek=$(($(stat -c %s nan/model.safetensors) - 400)) conv=notrunc 2> .dd
CHANGES=allowed refuse 7.5.12 3 "contains 8 NaN values" -- pretrain --model-path nan --data-path "$TINY/text.txt" --output-dir r --max-steps 1
refuse "7.5.12 generate" 5 "is not a number" -- generate --model-path nan --prompt a --max-tokens 2
finish
