#!/bin/bash
# Verbs without tensors run where LibTorch does not load; the others say so in one line.
. "$(dirname "$0")/harness.sh"

mkdir broken
echo "this is no library" > broken/libtorch_cpu.so
export LD_LIBRARY_PATH=$PWD/broken

accept "a config" -- create-config --output c.yaml
accept "help" -- generate --help
refuse "usage" 2 "--prompt is required" -- generate --model-path nowhere
refuse "a model that is not there" 3 "nowhere" -- generate --model-path nowhere --prompt x
refuse "tensors" 1 "cannot load LibTorch: $LD_LIBRARY_PATH/libtorch_cpu.so" "LibTorch must lie where it lay" -- inspect --model-path nowhere
refuse "the whole table" 1 "cannot load LibTorch" -- --help
finish
