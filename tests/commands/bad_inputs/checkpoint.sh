#!/bin/bash
# Run directories and checkpoints that are incomplete, damaged or made for something else.
. "$(dirname "$0")/../harness.sh"
fresh() { rm -rf r; cp -a "$TINY/run" r; }
four=r/step-00000004
resume() { echo train --config "$TINY/run/config.yaml" --output-dir r --max-steps 6; }
# shellcheck disable=SC2046
refuse_resume() { CHANGES=allowed refuse "$1" "$2" "$3" ${4:+"$4"} -- $(resume) --resume-from-checkpoint $four; }

mkdir nothing
refuse 7.5.1 3 "no checkpoint in 'nothing'" -- generate --model-path nothing --prompt a
rmdir nothing
fresh; rm $four/manifest.json
refuse_resume 7.5.2 3 "step-00000004 is incomplete (no manifest; save was interrupted)"
# shellcheck disable=SC2046
accept 7.5.2b -- $(resume)
expect 7.5.2b "step-00000002" err
fresh; rm $four/training_state/optimizer.safetensors
refuse_resume 7.5.3 3 "optimizer.safetensors is missing"
fresh; truncate -s -64 $four/model.safetensors
refuse_resume 7.5.4 3 "manifest says"
fresh; printf 'x' | dd of=$four/model.safetensors bs=1 seek=20000 conv=notrunc status=none
refuse_resume 7.5.5 3 "step-00000004/model.safetensors is damaged (sha256 differs)"
fresh; ln -sfn step-00000009 r/latest; rm -rf r/final r/best
refuse 7.5.6 3 "step-00000009 does not exist; newest complete is step-00000004" -- generate --model-path r --prompt a
fresh; sed -i 's/"format": *1/"format": 4/' $four/manifest.json
refuse_resume 7.5.7 3 "checkpoint format 4 is newer than this program (1)"
fresh
# shellcheck disable=SC2046
CHANGES=allowed refuse 7.5.8 3 "model.num_hidden_layers is 2 in the checkpoint, 3 in the config" -- $(resume) --model.num_hidden_layers 3
fresh
# shellcheck disable=SC2046
CHANGES=allowed refuse 7.5.9 3 "optimizer state is adamw, config asks lion" "--reset-optimizer" -- $(resume) --optimizer-name lion
"$PROGRAM" train-tokenizer --input "$TINY/text.txt" --output other.model --vocab-size 320 --model-type unigram > /dev/null 2>&1
fresh
# shellcheck disable=SC2046
CHANGES=allowed refuse 7.5.10 3 "checkpoint tokenizer sha256 $(sha256sum "$TINY/tokenizer.model" | head -c 12)…, given $(sha256sum other.model | head -c 12)…" -- \
  $(resume) --tokenizer-path other.model --data-path "$TINY/text.txt"
head -100 "$TINY/text.txt" > less.txt
"$PROGRAM" prepare-data --input less.txt --tokenizer-path "$TINY/tokenizer.model" --output less > /dev/null 2>&1
fresh
# shellcheck disable=SC2046
CHANGES=allowed refuse 7.5.11 3 "changed since step 4" "--allow-data-change" -- $(resume) --data-path less
fresh
CHANGES=allowed refuse 7.5.14 3 "already at step 4 of 4" "--max-steps" -- train --config "$TINY/run/config.yaml" --output-dir r --max-steps 4
mkdir m; cp "$TINY"/run/final/*.json "$TINY"/run/final/tokenizer* m/; printf 'PK\x03\x04 pickled' > m/pytorch_model.pt
pickles="PyTorch pickle files are not loaded (they can run code)"
refuse 7.5.15 3 "$pickles" "safe_serialization=True" -- generate --model-path m --prompt a
refuse 7.5.15b 3 "$pickles" "safe_serialization=True" -- generate --model-path m/pytorch_model.pt --prompt a
fresh
CHANGES=allowed refuse 7.5.15c 3 "$pickles" "convert the weights to safetensors" -- \
  train --config "$TINY/run/config.yaml" --output-dir r --resume-from-checkpoint m/pytorch_model.pt
refuse 7.5.19 3 "model.layers.0.self_attn.q_proj is 32x32 in this model, the adapter was made for 48x36" "the model that the adapter was trained on" -- \
  generate "$TINY/run" --adapter "$SOURCES/tests/fixtures/peft/llama_qv" --prompt a

if permissions_hold; then
  for file in manifest.json model.safetensors training_state/optimizer.safetensors training_state/state.json; do
    fresh; chmod 000 $four/$file
    refuse_resume "7.5.16 $file" 4 "$file': Permission denied"
    # shellcheck disable=SC2046
    CHANGES=allowed refuse "7.5.16 $file, found by itself" 4 "$file': Permission denied" -- $(resume)
    [ ! -e $four.damaged ] || { echo "7.5.16 $file: what may not be read is taken for damage"; failures=$((failures + 1)); }
  done
  for file in config.json model.safetensors generation_config.json; do
    fresh; chmod 000 r/final/$file
    refuse "7.5.16 final/$file" 4 "$file': Permission denied" -- generate r --prompt a
  done
  fresh; chmod 000 r
  refuse "7.5.16 the folder" 4 "Permission denied" -- generate r --prompt a
  chmod 755 r
  done_with_permissions
fi
fresh; sed -i 's#"model.safetensors"#"../../etc/x"#' $four/manifest.json
refuse_resume 7.5.20 3 "manifest names '../../etc/x', outside the checkpoint"
fresh; printf '{"format": 1,' > $four/manifest.json
refuse_resume manifest 3 "manifest.json"
fresh; printf '{}' > $four/training_state/state.json
refuse_resume state 3 "state.json"
rm -rf m r
finish
