#!/bin/bash
# PyTorch's .bin from outside: every damaged or malicious file of the fuzz corpus (its names say what is wrong with it) ends with exit 3 and
# its own name; what asks for more than tensors is told how to convert it.
. "$(dirname "$0")/../harness.sh"
corpus=$SOURCES/fuzz/corpus/unpickler
mkdir m
cp "$TINY"/run/final/*.json "$TINY/run/final/tokenizer.model" m/
pickles="m/pytorch_model.bin: PyTorch pickle files are not loaded (they can run code)"
refuse_bin() { cp "$corpus/$1" m/pytorch_model.bin; refuse "3.4 $1" 3 "$2" ${3:+"$3"} -- generate --model-path m --prompt a; }
refuse_code() { refuse_bin "$1" "$pickles; this one $2" "save the model as safetensors: model.save_pretrained(DIR, safe_serialization=True)"; }

refuse_code name_os_system "asks for os.system"
refuse_code name_on_stack "asks for posix.system"
refuse_code name_builtins_eval "asks for builtins.eval"
refuse_code name_torch_load "asks for torch.load"
refuse_code name_numpy "asks for numpy.core.multiarray._reconstruct"
refuse_code name_module "asks for transformers.modeling_utils.PreTrainedModel"
refuse_code name_control "asks for os?[2J.system"
refuse_code storage_complex "asks for torch.ComplexFloatStorage"
refuse_code call_storage "calls torch.FloatStorage"
refuse_code build_tensor "sets the state of an object"
refuse_code opcode_inst "uses opcode INST"
refuse_code opcode_obj "uses opcode OBJ"
refuse_code opcode_newobj "uses opcode NEWOBJ"
refuse_code opcode_ext "uses opcode EXT1"
refuse_code opcode_text_persid "uses opcode PERSID"
refuse_code opcode_unknown "uses opcode 0xff"
refuse_code text "uses opcode"
refuse_bin offset_outside "a tensor reaches outside its storage of 4 elements"
refuse_bin zip_climbs "an entry's name is not allowed"
refuse_bin zip_entry_twice "entry 'm/data/0' is there twice"
for file in "$corpus"/*; do
  name=$(basename "$file")
  case $name in good_*) ;; git_lfs) refuse_bin "$name" "is a Git LFS pointer" ;; html) refuse_bin "$name" "looks like an HTML page" ;; *) refuse_bin "$name" "m/pytorch_model.bin: " ;; esac
done
refuse_bin good_archive "missing 21 tensors (model.embed_tokens.weight,"

# In shards: the index may not lead elsewhere, and each shard is read by the same rules.
rm m/pytorch_model.bin
shard() { printf '{"weight_map": {"a": "%s"}}' "$1" > m/pytorch_model.bin.index.json; refuse "shard $1" 3 "$2" ${3:+"$3"} -- generate --model-path m --prompt a; }
shard ../x.bin "shard name '../x.bin' not allowed"
shard x.bin "index names 'x.bin', not found"
cp "$corpus/name_os_system" m/x.bin
shard x.bin "m/x.bin: PyTorch pickle files are not loaded (they can run code); this one asks for os.system" "safe_serialization=True"
rm -r m
finish
