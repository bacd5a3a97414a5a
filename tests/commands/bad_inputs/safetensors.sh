#!/bin/bash
# Weight files that lie about themselves.
. "$(dirname "$0")/../harness.sh"
mkdir m
cp "$TINY"/run/final/*.json "$TINY"/run/final/tokenizer* m/
length() { local n=$1 i; for i in 1 2 3 4 5 6 7 8; do printf '%b' "$(printf '\\x%02x' $((n % 256)))"; n=$((n / 256)); done; }
weights() { { length ${#1}; printf '%s' "$1"; head -c "${2:-0}" /dev/zero; } > m/model.safetensors; }  # header, bytes of data
refuse_weights() { refuse "$1" 3 "$2" -- generate --model-path m --prompt a; }
tensor() { printf '"%s":{"dtype":"%s","shape":%s,"data_offsets":%s}' "$@"; }

printf 'short' > m/model.safetensors
refuse_weights 7.6.1 "model.safetensors: too small (5 bytes)"
{ length 8589934592; head -c 100 /dev/zero; } > m/model.safetensors
refuse_weights 7.6.2 "header length 8589934592 exceeds 100000000"
{ length 5000; head -c 804 /dev/zero; } > m/model.safetensors
refuse_weights 7.6.3 "header length 5000 but file has 812 bytes"
{ length 9; printf '{"a":"\xff"}'; } > m/model.safetensors
refuse_weights 7.6.4 "header is not UTF-8"
weights '[1, 2, 3]'
refuse_weights 7.6.5 "header is not a JSON object"
weights 'garbage!'
refuse_weights 7.6.5b "header is not a JSON object"
weights "$(printf '{"a":%.0s' {1..100000})1$(printf '}%.0s' {1..100000})"
refuse_weights 7.6.6 "header nesting too deep"
deep=$(printf '{"a":'; head -c 1000000 /dev/zero | tr '\0' '['; head -c 1000000 /dev/zero | tr '\0' ']'; printf '}')
weights "$deep"
refuse_weights 7.6.6b "header nesting too deep"
weights "{$(tensor a F32 '[1]' '[0,4]'),$(tensor a F32 '[1]' '[4,8]')}" 8
refuse_weights 7.6.7 "tensor 'a' is listed twice"
weights "{$(tensor a F128 '[1]' '[0,16]')}" 16
refuse_weights 7.6.8 "tensor 'a': dtype 'F128' unknown"
weights "{$(tensor a F32 '[1]' '[-4,0]')}" 4
refuse_weights 7.6.9 "tensor 'a': data_offsets must be two whole numbers"
weights "{$(tensor a F32 '[1]' '[0,4.0]')}" 4
refuse_weights 7.6.9b "tensor 'a': data_offsets must be two whole numbers"
weights "{$(tensor a F32 '[1]' '[64,16]')}" 64
refuse_weights 7.6.10 "tensor 'a': offsets [64, 16] are reversed"
weights "{$(tensor a F32 '[1000]' '[0,4000]')}" 16
refuse_weights 7.6.11 "tensor 'a' ends at 4000, data has 16 bytes"
weights "{$(tensor a F32 '[2]' '[0,8]'),$(tensor b F32 '[2]' '[4,12]')}" 12
refuse_weights 7.6.12 "tensors 'a' and 'b' overlap"
weights "{$(tensor a F32 '[32]' '[0,128]'),$(tensor b F32 '[1]' '[256,260]')}" 260
refuse_weights 7.6.13 "bytes 128-256 belong to no tensor"
weights "{$(tensor a F32 '[1]' '[0,4]')}" 16
refuse_weights 7.6.14 "12 extra bytes after the last tensor"
weights "{$(tensor a F32 '[1000,1000]' '[0,4]')}" 4
refuse_weights 7.6.15 "tensor 'a': shape [1000,1000] F32 needs 4000000 bytes, has 4"
weights "{$(tensor a F32 '[4194305,4194305,4194305,4194305]' '[0,4]')}" 4
refuse_weights 7.6.16 "tensor 'a': shape [4194305,4194305,"
weights "{$(tensor a F32 '[1,1,1,1,1,1,1,1,1]' '[0,4]')}" 4
refuse_weights 7.6.17 "tensor 'a': more than 8 dimensions"
weights "{$(tensor a F32 '[9223372036854775808]' '[0,4]')}" 4
refuse_weights 7.6.17b "tensor 'a': shape [9223372036854775808] is too large"
weights '{"__metadata__":{"format":5}}'
refuse_weights 7.6.18 "__metadata__ values must be text"
weights "{$(tensor foo F32 '[1]' '[0,4]')}" 4
refuse_weights 7.6.19 "missing"
refuse_weights 7.6.19b "1 not used (foo)"
rm m/model.safetensors
printf '{"metadata":{},"weight_map":{"model.norm.weight":"model-00003-of-00003.safetensors"}}' > m/model.safetensors.index.json
refuse_weights 7.6.20 "index names 'model-00003-of-00003.safetensors', not found"
printf '{"metadata":{},"weight_map":{"model.norm.weight":"../x.safetensors"}}' > m/model.safetensors.index.json
refuse_weights 7.6.20b "shard name '../x.safetensors' not allowed"
rm m/model.safetensors.index.json
refuse_weights none "m"

# What git and a server leave in a file's place; for .bin too.
pointer='version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 499723\n'
for file in model.safetensors pytorch_model.bin; do
  # shellcheck disable=SC2059
  printf "$pointer" > m/$file
  refuse "LFS $file" 3 "m/$file' is a Git LFS pointer (131 bytes), not the file" "git lfs pull" -- generate --model-path m --prompt a
  printf '<!DOCTYPE html>\n<html><body>404</body></html>\n' > m/$file
  refuse_weights "HTML $file" "m/$file' looks like an HTML page; the download failed"
  rm m/$file
done

# Every verb that opens weights looks before it reads.
weights "{$(tensor a F32 '[2]' '[0,8]'),$(tensor b F32 '[2]' '[4,12]')}" 12
mkdir adapter
cp m/model.safetensors adapter/adapter_model.safetensors
cp "$SOURCES/tests/fixtures/peft/llama_qv/adapter_config.json" adapter/
overlap="tensors 'a' and 'b' overlap"
refuse inspect 3 "$overlap" -- inspect m
refuse convert 3 "$overlap" -- convert m --output x
refuse "convert to GGUF" 3 "$overlap" -- convert m --output x.gguf
refuse verify-export 3 "$overlap" -- verify-export "$TINY/run" m
refuse chat 3 "$overlap" -- chat m -p a
refuse api 3 "$overlap" -- api m --port 0
refuse adapter 3 "$overlap" -- generate "$TINY/run" --adapter adapter --prompt a
CHANGES=allowed refuse pretrain 3 "$overlap" -- pretrain --model-path m --data-path "$TINY/text.txt" --output-dir x --max-steps 1
rm -rf x adapter

# config.json of the model directory
cp "$TINY/run/final/model.safetensors" m/
accept good -- generate --model-path m --prompt a --max-tokens 2 --seed 1
expect good "Generated: a" out
printf '{"hidden_size": 32,' > m/config.json
refuse_weights config "config.json"
printf '{"model_type": "bert", "hidden_size": 32}' > m/config.json
refuse_weights config "bert"
rm m/config.json
refuse_weights config "no checkpoint in 'm'"
finish
