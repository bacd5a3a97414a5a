#!/bin/bash
# llm api from outside, with curl: every route, streams, keys, what is refused before it listens, the text that generate writes, and how it ends.
. "$(dirname "$0")/harness.sh"
command -v curl > /dev/null || { echo "skipped: no curl"; exit 77; }
SERVED=$PWD/served "$SOURCES/tests/clients/make_served.sh" > make.out 2>&1 || { cat make.out; exit 1; }
model=$PWD/served/small
unset LLM_API_KEY

end() {  # claim, status: after SIGTERM
  kill -s TERM $pid
  wait $pid
  local status=$?
  holds "$1: exit status $status at SIGTERM" [ $status = "$2" ]
  holds "$1: nothing on stdout" [ ! -s api.out ]
}
get() { curl -sS --max-time 60 -o body -w '%{http_code}' "$url$1" "${@:2}"; }
post() { curl -sS --max-time 60 -o body -w '%{http_code}' -H 'Content-Type: application/json' -d "$2" "$url$1" "${@:3}"; }
# Of a line of JSON: a member whose value is a text or a number, with the escapes undone.
field() { printf '%b' "$(sed -E "s/.*\"$1\":(\"(([^\"\\]|\\\\.)*)\"|([^,}]*)).*/\2\4/" body)"; }

# --- refused before it listens ---------------------------------------------------------------------------------------------
refuse "a public address without a key" 2 "refusing to listen on 0.0.0.0 without --api-key" "--insecure to allow" -- api "$model" --host 0.0.0.0 --port 0
refuse "every IPv6 address without a key" 2 "refusing to listen on :: without --api-key" -- api "$model" --host :: --port 0
refuse "port" 2 "--port: '65536' must be between 0 and 65535" -- api "$model" --port 65536
refuse "queue size" 2 "--queue-size: '-1' must be between 0 and 100000" -- api "$model" --queue-size -1
refuse "batch size" 2 "--max-batch-size: '0' must be between 1 and 4096" -- api "$model" --max-batch-size 0
refuse "drain" 2 "--drain-timeout: -1 is outside 0 to 86400" -- api "$model" --drain-timeout -1
refuse "stall" 2 "--stall-timeout: -1 is outside 0 to 86400" -- api "$model" --stall-timeout -1
refuse "body" 2 "--max-body-bytes: '5' must be between 1024 and 2147483648" -- api "$model" --max-body-bytes 5
refuse "layout" 2 "--kv-cache-layout: 'heap' is not supported; choose paged, slab, bmc" -- api "$model" --kv-cache-layout heap
refuse "context" 2 "--max-model-len: 32768 is more than the model's context of 16384" -- api "$model" --max-model-len 32768 --port 0
refuse "temperature" 2 "--temperature: 3 is outside 0 to 2" -- api "$model" --temperature 3
refuse "an unknown flag" 2 "--prot" "--port" -- api "$model" --prot 8000
refuse "no such model" 3 "nowhere" -- api nowhere --port 0
refuse "a key that is none, before the model is read" 2 "api key 1: must be printable characters without spaces" -- api nowhere --api-key 'a key' --port 0
refuse "a scope that is none" 2 "api key 2: after the colon come scopes: generate, embed, admin" -- api nowhere --api-key key --api-key other:all --port 0
refuse "an adapter without a name" 2 "--adapter 'folder': NAME=DIR is expected" -- api nowhere --adapter folder --port 0
for origin in example.org https://example.org/ https://example.org/page null 'https://*.example.org' https://example.org:0; do
  refuse "no origin: $origin" 2 "--cors-origin: '$origin' is no origin" "scheme://host[:port]" -- api nowhere --cors-origin "$origin" --port 0
done
refuse "a name of two lines" 2 "--served-model-name must be printable characters" -- api "$model" --served-model-name $'a\nb' --port 0
refuse "a host that is none" 2 "cannot listen on" -- api "$model" --host 300.1.1.1 --insecure --port 0
accept "what it would be" -- api "$model" --print-config --port 8123 --api-key secret-key
expect "the configuration has the port" 8123 out
expect "and its batch" "serving.max_batch_size = 128" out
for key in host port queue_size rate_limit request_timeout max_body_bytes max_connections drain_timeout stall_timeout kv_cache_layout; do expect "it has $key" "$key" out; done
holds "it does not show the key" [ "$(grep -c secret-key out)" = 0 ]
{ cat "$SOURCES/config/mini.yaml"; printf 'serving:\n  port: 8124\n  queue_size: 5\n'; } > both.yaml
accept "a run config with a section serving" -- api "$model" --print-config --config both.yaml --queue-size 6
expect "its port" "serving.port = 8124" out
expect "a flag wins" "serving.queue_size = 6" out
accept "the same file trains" -- pretrain --print-config --config both.yaml
printf 'serving: {prot: 1}\n' > slip.yaml
printf 'inference: {max_batch_size: 3, use_paged_attention: false, max_num_blocks: 2048}\n' > inference.yaml
for same in "max_batch_size --max-batch-size serving.max_batch_size 5" "use_paged_attention --kv-cache-layout serving.kv_cache_layout paged" \
  "max_num_blocks --kv-cache-memory serving.kv_cache_memory 1000000"; do
  read -r key flag row value <<< "$same"
  refuse "$key twice" 2 "inference.$key and $row say the same thing" "leave one of them out" -- api "$model" --config inference.yaml $flag $value --port 0
done
accept "the same file generates" -- generate "$model" --prompt a --max-tokens 1 --config inference.yaml
printf 'inference: {block_size: 32}\n' > blocks.yaml
refuse "blocks of another size" 2 "blocks.yaml:1:13: inference.block_size 32 is not supported" -- api "$model" --config blocks.yaml
refuse "what requests say" 2 "--num-return-sequences (2) has no effect in a server" "requests say how many texts they want (n); leave it out" -- api "$model" --num-return-sequences 2 --port 0
refuse "no effect" 2 "inference.num_speculative_tokens has no effect without use_speculative_decoding" -- api "$model" --inference.num_speculative_tokens 3
refuse "a slip in it" 2 "slip.yaml:1:11: unknown key serving.prot" "port" -- api "$model" --config slip.yaml

# --- a model without a pool ------------------------------------------------------------------------------------------------
cat > alibi.yaml << END
model: {vocab_size: 320, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64, position_embedding_type: alibi}
training: {batch_size: 2, gradient_accumulation_steps: 1, max_steps: 1, eval_steps: 0}
data: {synthetic_stories: 200}
END
accept "a model that does not run packed" -- pretrain --config alibi.yaml --output-dir alibi --threads 1
for flag in "--kv-cache-dtype int8" "--kv-cache-layout slab"; do
  refuse "no $flag for it" 2 "has no effect: this model's texts have memory of their own" "leave it out" -- api alibi $flag --port 0
done
refuse "memory for no text of it" 2 "--kv-cache-memory: 16383 bytes hold no text of 64 tokens (16384 bytes)" -- api alibi --kv-cache-memory 16383 --port 0
start_server alibi --kv-cache-memory 40000
holds "as many together as memory holds" grep -q '2 texts together at most' api.err
holds "they are answered" [ "$(post /v1/completions '{"prompt":["a","b","c"],"max_tokens":3}')" = 200 ]
end "the server without a pool" 0

# --- how keys and values lie -----------------------------------------------------------------------------------------------
ask='{"prompt":"Line 7: the cat","max_tokens":12,"temperature":0}'
kv() {  # claim, what the log says, flags...: one greedy answer is left in $text
  start_server "$model" "${@:3}"
  holds "$1: it is said" grep -qE "KV cache: $2" api.err
  holds "$1: it answers" [ "$(post /v1/completions "$ask")" = 200 ]
  text=$(field text)
  holds "$1: twelve tokens" [ "$(field completion_tokens)" = 12 ]
}
kv "paged" "[0-9]+ tokens, [0-9]+ MiB, paged" --kv-cache-memory 67108864
end "paged" 0
paged=$text tokens=$(sed -n -E 's/.*KV cache: ([0-9]+) tokens.*/\1/p' api.err)
for layout in slab bmc; do
  kv $layout "[0-9]+ tokens, [0-9]+ MiB, $layout" --kv-cache-layout $layout
  holds "$layout: '$text' is '$paged'" [ "$text" = "$paged" ]
  end $layout 0
done
kv "int8" "[0-9]+ tokens, [0-9]+ MiB, paged, int8" --kv-cache-dtype int8 --kv-cache-memory 67108864
holds "int8 holds at least twice the tokens in the same memory" [ "$(sed -n -E 's/.*KV cache: ([0-9]+) tokens.*/\1/p' api.err)" -ge $((2 * tokens)) ]
holds "int8: '$text' begins as '$paged' does" [ "${text:0:4}" = "${paged:0:4}" ]
first=$text
post /v1/completions "${ask/Line 7/Line 8}" > /dev/null
holds "int8: another prompt" [ "$(field completion_tokens)" = 12 ]
post /v1/completions "${ask/12/11}" > /dev/null
holds "int8: the same again" [ "${first#"$(field text)"}" != "$first" ]
end "int8" 0
kv "fp8" "[0-9]+ tokens, [0-9]+ MiB, paged, fp8" --kv-cache-dtype fp8 --kv-cache-memory 67108864
holds "fp8: '$text' begins as '$paged' does" [ "${text:0:2}" = "${paged:0:2}" ]
end "fp8" 0
kv "a section inference" "32768 tokens, [0-9]+ MiB, slab" --config inference.yaml
holds "with its text: '$text' is '$paged'" [ "$text" = "$paged" ]
get /v1/queue/status > /dev/null
holds "and its batch" [ "$(field max_batch_size)" = 3 ]
end "a section inference" 0
printf 'inference: {use_speculative_decoding: true, num_speculative_tokens: 3, draft_model_path: "%s"}\n' "$model" > guesses.yaml
kv "guesses" "[0-9]+ tokens" --config guesses.yaml
holds "the text with guesses: '$text' is '$paged'" [ "$text" = "$paged" ]
get /metrics > /dev/null
holds "guesses were made and right" [ "$(grep -c -E "^llm:spec_decode_(draft|accepted)_tokens_total[^ ]* [1-9]" body)" -ge 2 ]
end "guesses" 0
kv "quantised" "[0-9]+ tokens" --inference.quantization int8
expect "its weights are" "weights in int8" api.err
get /model-info > /dev/null
holds "/model-info says so" [ "$(field quantization)" = int8 ]
end "quantised" 0

# --- an engine that hangs, or nearly ---------------------------------------------------------------------------------------
start_server "$PWD/served/slow" --stall-timeout 0.001
curl -sN --max-time 60 -H 'Content-Type: application/json' -d '{"prompt":"Line","max_tokens":600,"ignore_eos":true,"stream":true}' "$url/v1/completions" > long.out 2> /dev/null &
for _ in $(seq 300); do if [ "$(get /health)" = 503 ]; then break; fi; done
expect "a pass that takes longer than --stall-timeout shows" '"status":"unhealthy"' body
end "passes of a millisecond and more" 0
expect "and the text is whole" "[DONE]" long.out

# --- every route -----------------------------------------------------------------------------------------------------------
start_server "$model"
refuse "a port in use" 2 "cannot listen on 127.0.0.1:${url##*:}: Address already in use" -- api "$model" --port "${url##*:}"
for route in / /health /v1/health /version /metrics /stats /v1/server_metrics /v1/queue/status /openapi.json /v1/models /v1/models/small /model-info /tokenizer_info /props; do
  holds "GET $route" [ "$(get $route)" = 200 ]
  holds "GET $route has a body" [ -s body ]
  holds "POST $route is refused" [ "$(post $route '{}')" = 405 ]
done
holds "HEAD /health" [ "$(get /health -I)" = 200 ]
holds "a browser gets a page" [ "$(get / -H 'Accept: text/html')" = 200 -a "$(head -c 15 body)" = "<!doctype html>" ]
ask='{"prompt":"Line 7: the cat","max_tokens":12,"temperature":0}'
chat='{"messages":[{"role":"user","content":"Line 7"}],"max_tokens":12,"temperature":0}'
holds "/v1/completions" [ "$(post /v1/completions "$ask")" = 200 ]
holds "/v1/chat/completions" [ "$(post /v1/chat/completions "$chat")" = 200 ]
holds "/generate" [ "$(post /generate "$ask")" = 200 ]
holds "/predict" [ "$(post /predict '{"text":"Line 7"}')" = 200 ]
holds "/tokenize" [ "$(post /tokenize '{"prompt":"Line 7"}')" = 200 ]
holds "/detokenize" [ "$(post /detokenize '{"tokens":[70,71]}')" = 200 ]
holds "/apply-template" [ "$(post /apply-template "$chat")" = 200 ]
holds "another path" [ "$(get /v1/nothing)" = 404 ]
post /v1/completions "$ask" -H 'X-Request-ID: curl-7' > /dev/null
holds "how far a request has come" [ "$(get /v1/status/cmpl-curl-7)" = 200 -a "$(field status)" = completed -a "$(field request_id)" = curl-7 ]
post /v1/completions '{"prompt":7}' -H 'X-Request-ID: curl-8' > /dev/null
holds "and why it failed" [ "$(get /v1/status/curl-8)" = 200 -a "$(field status)" = failed ]
expect "in the words of its answer" '"message":"prompt must be' body
holds "an id that nobody had" [ "$(get /v1/status/curl-9)" = 404 ]
holds "another model" [ "$(post /v1/completions '{"model":"gpt-9","prompt":"a"}')" = 404 ]
expect "the error names both" "model 'gpt-9' is not served; available: small" body
get / -D head > /dev/null
holds "no CORS headers" [ "$(grep -ci '^access-control' head)" = 0 ]

# --- the text is generate's ------------------------------------------------------------------------------------------------
same_text() {  # claim, body, generate's flags...
  accept "generate: $1" -- generate "$model" --threads 1 --json --prompt "Line 7: the cat" --max-tokens 12 "${@:3}"
  local wanted got
  wanted=$(sed -n -E 's/^ *"text": ("([^"\\]|\\.)*"),?$/\1/p' out)
  post /v1/completions "$2" > /dev/null
  got=$(sed -E 's/.*"text":("([^"\\]|\\.)*").*/\1/' body)
  holds "$1: '$got' is '$wanted'" [ -n "$wanted" -a "$got" = "$wanted" ]
}
same_text "greedy" "$ask" --temperature 0
for seed in 1 2 3; do
  same_text "seed $seed" "{\"prompt\":\"Line 7: the cat\",\"max_tokens\":12,\"temperature\":1.2,\"top_p\":0.9,\"seed\":$seed}" --temperature 1.2 --top-p 0.9 --seed $seed
done
same_text "beams" '{"prompt":"Line 7: the cat","max_tokens":12,"num_beams":3,"do_sample":false}' --num-beams 3 --do-sample false

# --- streams ---------------------------------------------------------------------------------------------------------------
post /v1/completions "$ask" > /dev/null; text=$(field text)
streamed='{"prompt":"Line 7: the cat","max_tokens":12,"temperature":0,"stream":true}'
post /v1/completions "$streamed" -N -D head > /dev/null; cp body events
expect "a stream is an event stream" "Content-Type: text/event-stream" head
expect "nobody keeps it" "Cache-Control: no-cache" head
holds "it ends with [DONE]" [ "$(grep -v '^$' events | tail -1 | tr -d '\r')" = "data: [DONE]" ]
pieces=""
while read -r line; do printf '%s\n' "$line" > body; pieces+=$(field text; echo .); pieces=${pieces%.}; done < <(sed -n 's/^data: {/{/p' events)
holds "its pieces are the text: '$pieces'" [ "$pieces" = "$text" ]
long='{"prompt":"Line","max_tokens":1900,"temperature":1,"ignore_eos":true,"stream":true}'
curl -sN --max-time 60 -H 'Content-Type: application/json' -d "${long/1900/16000}" "$url/v1/completions" 2> /dev/null | head -c 600 > /dev/null
for _ in $(seq 100); do get /stats > /dev/null; if [ "$(field active_requests)" = 0 ]; then break; fi; sleep 0.1; done
holds "who hangs up ends the work" [ "$(field active_requests)" = 0 -a "$(field generated_tokens)" -lt 16000 ]
holds "the log has a line for each request" [ "$(grep -c 'POST /v1/completions' api.err)" -ge 8 ]
holds "and no prompt" [ "$(grep -c 'the cat' api.err)" = 0 ]
end "after all that" 0

# --- the server's seed and context policy ----------------------------------------------------------------------------------
drawn() {  # seed, number: the texts of two requests without one
  start_server "$model" --seed "$1" --max-context-policy truncate-left --max-model-len 64
  for _ in 1 2; do post /v1/completions '{"prompt":"Line 7: the cat","max_tokens":12,"temperature":1.2}' > /dev/null; field text; echo; done > "drawn$2"
  holds "a prompt longer than the context" [ "$(post /v1/completions "{\"prompt\":\"$(printf 'the cat %.0s' $(seq 100))\",\"max_tokens\":9,\"ignore_eos\":true}")" = 200 ]
  expect "has its answer" '"completion_tokens":9' body
  end "seed $1" 0
}
drawn 7 1
drawn 7 2
drawn 8 3
holds "a restarted server draws the same" cmp -s drawn1 drawn2
holds "with another seed it does not" [ "$(cat drawn1)" != "$(cat drawn3)" ]
holds "and two requests draw different texts" [ "$(sed -n 1p drawn1)" != "$(sed -n 2p drawn1)" ]

# --- keys ------------------------------------------------------------------------------------------------------------------
start_server "$model" --api-key first-key --api-key second-key:embed --api-key third-key:generate,embed
holds "/health needs no key" [ "$(get /health)" = 200 ]
holds "nor does the page" [ "$(get / -H 'Accept: text/html')" = 200 ]
for route in / /metrics /stats /openapi.json /v1/models /model-info /tokenizer_info /props /version /v1/nothing; do
  holds "$route needs a key" [ "$(get $route)" = 401 ]
  holds "$route with one" [ "$(get $route -H 'Authorization: Bearer first-key')" != 401 ]
done
for route in /v1/completions /v1/chat/completions /generate /predict /tokenize /detokenize /apply-template; do holds "$route needs a key" [ "$(post $route '{}')" = 401 ]; done
expect "the error has its code" '"code":"invalid_api_key"' body
holds "a part of a key is none" [ "$(get /v1/models -H 'Authorization: Bearer first-ke')" = 401 ]
holds "the scheme in small letters" [ "$(get /v1/models -H 'authorization: bearer first-key')" = 200 ]
holds "a key of another scope" [ "$(post /v1/completions "$ask" -H 'Authorization: Bearer second-key')" = 403 ]
holds "a key of two scopes" [ "$(post /v1/completions "$ask" -H 'Authorization: Bearer third-key')" = 200 ]
holds "the name of a scope is no key" [ "$(get /v1/models -H 'Authorization: Bearer embed')" = 401 ]
end "with keys" 0
holds "the log has no key" [ "$(grep -c 'first-key\|second-key\|third-key' api.err)" = 0 ]
LLM_API_KEY=key-of-the-environment start_server "$model" --host 0.0.0.0
url=http://127.0.0.1:${url##*:}
holds "a key from the environment is asked for" [ "$(get /v1/models)" = 401 ]
holds "and taken" [ "$(get /v1/models -H 'Authorization: Bearer key-of-the-environment')" = 200 ]
end "with a key from the environment" 0

# --- web pages of other sites ----------------------------------------------------------------------------------------------
start_server "$model" --cors-origin https://example.org --cors-origin http://localhost:3000
crossing() { tr -d '\r' < head | grep -ci "^$1\$"; }  # a header of the last answer
for origin in https://example.org http://localhost:3000; do
  get /v1/models -D head -H "Origin: $origin" > /dev/null
  holds "$origin may read" [ "$(crossing "access-control-allow-origin: $origin")" = 1 -a "$(crossing 'vary: origin')" = 1 ]
  post /v1/completions '{"prompt":7}' -D head -H "Origin: $origin" > /dev/null
  holds "$origin may read errors" [ "$(crossing "access-control-allow-origin: $origin")" = 1 ]
  post /v1/completions '{"prompt":"a","max_tokens":2,"stream":true}' -D head -H "Origin: $origin" > /dev/null
  holds "$origin may read streams" [ "$(crossing "access-control-allow-origin: $origin")" = 1 ]
done
get /v1/models -D head -H "Origin: http://example.org" > /dev/null
holds "another origin may not" [ "$(grep -ci '^access-control' head)" = 0 ]
asks=(-X OPTIONS -D head -H 'Origin: https://example.org' -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: content-type')
holds "a preflight" [ "$(get /v1/completions "${asks[@]}")" = 204 ]
holds "it tells the method" [ "$(crossing 'access-control-allow-methods: POST')" = 1 ]
holds "the headers" [ "$(crossing 'access-control-allow-headers: content-type')" = 1 ]
holds "and for how long" [ "$(crossing 'access-control-max-age: 3600')" = 1 ]
holds "no cookies" [ "$(crossing 'access-control-allow-credentials: .*')" = 0 ]
holds "a preflight of no route" [ "$(get /v1/nothing "${asks[@]}")" = 404 ]
end "with origins" 0
start_server "$model" --cors-origin '*'
get /health -D head -H "Origin: http://anywhere.org" > /dev/null
holds "everyone may read" [ "$(crossing 'access-control-allow-origin: \*')" = 1 ]
end "with all origins" 0

# --- how it ends (reliability T23) -----------------------------------------------------------------------------------------
twenty_streams() {  # flags...: a server with 20 streams, all of which have begun
  start_server "$model" "$@"
  rm -f stream*
  for i in $(seq 20); do
    curl -sN --max-time 150 -H 'Content-Type: application/json' -d "$long" "$url/v1/completions" > "stream$i" 2> /dev/null &
    streams[i]=$!
  done
  for _ in $(seq 300); do if [ "$(grep -l '^data: ' stream* | wc -l)" = 20 ]; then break; fi; sleep 0.05; done
}
twenty_streams --drain-timeout 120
end "20 streams open" 0
wait "${streams[@]}"
for i in $(seq 20); do holds "stream $i is whole" [ "$(grep -v '^$' "stream$i" | tail -1 | tr -d '\r')" = "data: [DONE]" ]; done
twenty_streams --drain-timeout 0
end "20 streams and no time" 0
wait "${streams[@]}"
for i in $(seq 20); do holds "stream $i is whole or says that it is not" grep -qE '^data: (\[DONE\]|\{"error":)' "stream$i"; done
holds "at least one was cut" [ "$(cat stream* | grep -c '^data: {"error":')" -ge 1 ]
twenty_streams
kill -s TERM $pid
for _ in $(seq 100); do grep -q '^SIGTERM' api.err && break; sleep 0.05; done
kill -s TERM $pid
before=$SECONDS
wait $pid
status=$?
holds "a second signal: exit status $status, at once" [ $status = 143 -a $((SECONDS - before)) -le 1 ]
wait "${streams[@]}"
start_server "$model"
kill -s INT $pid
wait $pid
holds "SIGINT ends it as SIGTERM does" [ $? = 0 ]
rm -f api.err
"$PROGRAM" api "$model" --port 0 > /dev/full 2> api.err < /dev/null &
pid=$!
for _ in $(seq 300); do grep -qs '^serving' api.err && break; sleep 0.1; done
kill -s TERM $pid
wait $pid
holds "it prints nothing on stdout: a full disk there is nothing to it" [ $? = 0 ]
finish
