#!/bin/bash
# LoRA adapters from outside: generate and chat with one, a server with several, each text what the adapter writes alone, refusals.
. "$(dirname "$0")/harness.sh"
base=$TINY/run/final
unset LLM_API_KEY
mkdir adapters
"$MAKE_ADAPTER" "$base" adapters/one 1 && "$MAKE_ADAPTER" "$base" adapters/two 2 || exit 1
text=(--prompt "Line 7: the cat" --max-tokens 16 --temperature 0)

# --- generate, chat --------------------------------------------------------------------------------------------------------
accept "the base" -- generate "$base" "${text[@]}"; cp out plain
for name in one two; do
  accept "adapter $name" -- generate "$base" --adapter adapters/$name "${text[@]}"; cp out $name
  differ "adapter $name writes another text" plain $name
done
differ "adapters differ" one two
expect "the log names the adapter" "adapter adapters/two" err
accept "an adapter as the model" -- generate adapters/one "${text[@]}"; same "its base is found through it" one out
accept "with its base given" -- generate adapters/one --base-model-path "$TINY/run" "${text[@]}"; same "the base may be given" one out
for dtype in bfloat16 float32; do
  accept "$dtype" -- generate adapters/one --dtype $dtype "${text[@]}"; same "the same text in $dtype" one out
done
accept "beams" -- generate adapters/one --num-beams 3 "${text[@]}"
accept "speculation" -- generate adapters/one --num-speculative-tokens 4 "${text[@]}"; same "speculation changes no text" one out
accept "a chat with an adapter" -- chat adapters/one -p "Line 7: the cat" --max-tokens 16 --temperature 0; cp out chat_one
accept "a chat without" -- chat "$base" -p "Line 7: the cat" --max-tokens 16 --temperature 0; differ "chat takes the adapter" chat_one out

# --- refusals --------------------------------------------------------------------------------------------------------------
mkdir none no_base broken
cp adapters/one/adapter_model.safetensors no_base/
sed 's/"base_model_name_or_path": ".*"/"base_model_name_or_path": null/' adapters/one/adapter_config.json > no_base/adapter_config.json
cp adapters/one/adapter_config.json broken/
head -c 100 adapters/one/adapter_model.safetensors > broken/adapter_model.safetensors
refuse "no adapter there" 3 "'none' is no adapter: it has no adapter_config.json" -- generate "$base" --adapter none "${text[@]}"
refuse "no folder there" 3 "'nowhere' is no adapter" -- generate "$base" --adapter nowhere "${text[@]}"
refuse "a base that is not named" 3 "says no base model" "--base-model-path" -- generate no_base "${text[@]}"
refuse "a cut file" 3 "broken/adapter_model.safetensors" -- generate "$base" --adapter broken "${text[@]}"
refuse "two adapters for one text" 2 "is an adapter already" -- generate adapters/one --adapter adapters/two "${text[@]}"
refuse "a base for what is no adapter" 2 "--base-model-path needs an adapter" -- generate "$base" --base-model-path "$base" "${text[@]}"
refuse "a base that is not there" 3 "no model at 'nowhere'" -- generate adapters/one --base-model-path nowhere "${text[@]}"
refuse "no name" 2 "--adapter 'adapters/one': NAME=DIR is expected" -- api "$base" --adapter adapters/one --port 0
refuse "the model's own name" 2 "adapter 'final': the model itself is called that" -- api "$base" --adapter final=adapters/one --port 0
refuse "a name twice" 2 "adapter 'a' is loaded already" -- api "$base" --adapter a=adapters/one --adapter a=adapters/two --port 0
refuse "no adapter to serve" 3 "'none' is no adapter" -- api "$base" --adapter a=none --port 0
refuse "no folder to load from" 2 "--adapter-folder 'nowhere' is not a directory" -- api "$base" --adapter-folder nowhere --port 0

# --- a server --------------------------------------------------------------------------------------------------------------
command -v curl > /dev/null || { echo "without the server's part: no curl"; finish; }
post() { curl -sS --max-time 60 -o "${3:-body}" -w '%{http_code}' -H 'Content-Type: application/json' -d "$2" "$url$1"; }
ask() { printf '{"model": "%s", "prompt": "Line 7: the cat", "max_tokens": 16, "temperature": 0}' "$1"; }
# What generate prints, from an answer.
printed() { printf 'Generated: Line 7: the cat%b\n' "$(sed -E 's/.*"text":"(([^"\\]|\\.)*)".*/\1/' "$1")"; }

start_server "$base" --adapter a=adapters/one --adapter b=adapters/two --adapter-folder adapters
callers=()
for i in 1 2 3; do
  for model in final a b; do post /v1/completions "$(ask $model)" "crowd.$model.$i" > /dev/null & callers+=($!); done
done
wait "${callers[@]}"
for i in 1 2 3; do
  printed crowd.final.$i > got; same "the base in the crowd, $i" plain got
  printed crowd.a.$i > got; same "adapter a in the crowd, $i" one got
  printed crowd.b.$i > got; same "adapter b in the crowd, $i" two got
done
holds "an unknown adapter is 404" [ "$(post /v1/completions "$(ask c)")" = 404 ]
expect "and the names are told" "model 'c' is not served; available: final, a, b" body
holds "one more is loaded" [ "$(post /v1/load_lora_adapter '{"lora_name": "c", "lora_path": "two"}')" = 200 ]
holds "it answers" [ "$(post /v1/completions "$(ask c)")" = 200 ]
printed body > got; same "as itself" two got
curl -sS "$url/v1/models" > body
for model in final a b c; do expect "/v1/models lists $model" "\"id\":\"$model\"" body; done
holds "it goes" [ "$(post /v1/unload_lora_adapter '{"lora_name": "c"}')" = 200 ]
holds "it is gone" [ "$(post /v1/completions "$(ask c)")" = 404 ]
holds "nothing outside of the folder" [ "$(post /v1/load_lora_adapter '{"lora_name": "c", "lora_path": "../none"}')" = 400 ]
kill -s TERM $pid; wait $pid

start_server adapters/one
holds "an adapter as the model" [ "$(post /v1/completions '{"prompt": "Line 7: the cat", "max_tokens": 16, "temperature": 0}')" = 200 ]
printed body > got; same "answers where no model is named" one got
expect "under its name" '"model":"one"' body
holds "its base has its own name" [ "$(post /v1/completions "$(ask final)")" = 200 ]
printed body > got; same "and answers as before" plain got
holds "loading is off" [ "$(post /v1/load_lora_adapter '{"lora_name": "c", "lora_path": "two"}')" = 403 ]
kill -s TERM $pid; wait $pid
finish
