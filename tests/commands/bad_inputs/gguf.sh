#!/bin/bash
# GGUF files that lie about themselves: each ends with exit status 3 and one line that names the file and the rule. The rows carry the
# names that llama.cpp's own tests give the corruptions; the rules themselves are tested in tests/gguf.
. "$(dirname "$0")/../harness.sh"

byte() { printf '%b' "$(printf '\\x%02x' $(($1 % 256)))"; }
le() { local n=$1 i; for ((i = 0; i < $2; ++i)); do byte $((n & 255)); n=$((n >> 8)); done; }  # value, bytes; negative numbers wrap
u32() { le "$1" 4; }
u64() { le "$1" 8; }
text() { u64 ${#1}; printf '%s' "$1"; }
key() { text "$1"; u32 "$2"; }                                    # then the value
tensor() { local name=$1 kind=$2 offset=$3 size; shift 3; text "$name"; u32 $#; for size in "$@"; do u64 "$size"; done; u32 "$kind"; u64 "$offset"; }
header() { printf GGUF; u32 3; u64 "$1"; u64 "$2"; }              # tensors, keys
padded() { local n; n=$(stat -c %s x.gguf); head -c $(((-n % 32 + 32) % 32)) /dev/zero >> x.gguf; head -c "$1" /dev/zero >> x.gguf; }
refuse_file() { refuse "$1" 3 "x.gguf: $2" -- generate --model-path x.gguf --prompt a; }
one_tensor() { { header 1 0; tensor "$@"; } > x.gguf; padded 64; }
one_key() { { header 0 1; cat; } > x.gguf; }
most=9223372036854775807

: > x.gguf
refuse_file EMPTY "is empty (0 bytes)"
{ printf FUGG; u32 3; u64 0; u64 0; } > x.gguf
refuse_file BAD_MAGIC "is not a GGUF file (starts 46 55 47 47)"
{ printf GGUF; u32 3; u64 0; } > x.gguf
refuse_file HEADER_CUT "is cut short: it ends in the header (byte 16)"
{ printf GGUF; u32 1; u64 0; u64 0; } > x.gguf
refuse_file BAD_VERSION_1 "GGUF version 1 is not supported (2 and 3 are)"
{ printf GGUF; u32 9; u64 0; u64 0; } > x.gguf
refuse_file BAD_VERSION_FUTURE "GGUF version 9 is newer than this program (knows 2-3)"
{ printf GGUF; u32 50331648; u64 0; u64 0; } > x.gguf
refuse_file BIG_ENDIAN "is a big-endian GGUF file"
header -1 0 > x.gguf
refuse_file BAD_N_TENSORS "declares 18446744073709551615 tensors, more than 0 bytes can hold"
{ header $((1 << 40)) 0; head -c 64 /dev/zero; } > x.gguf
refuse_file N_TENSORS_OVERHEAD "declares 1099511627776 tensors, more than 64 bytes can hold"
header 0 -1 > x.gguf
refuse_file BAD_N_KV "declares 18446744073709551615 metadata keys, more than 0 bytes can hold"

{ key "" 0; printf xxxxx; } | one_key
refuse_file EMPTY_KEY "metadata key 1 of 1 has an empty name"
{ u64 -1; printf 'xxxxxxxxxxxx'; } | one_key
refuse_file KEY_LENGTH_WRAPS "metadata key 1 of 1 has a name of 18446744073709551615 bytes (limit 65535)"
{ key a 13; printf 'xxxxxxxx'; } | one_key
refuse_file BAD_TYPE "key 'a': value type 13 is unknown"
{ key a 9; u32 77; u64 1; printf 'xxxxxxxx'; } | one_key
refuse_file BAD_ARRAY_TYPE "key 'a': array element type 77 is unknown"
{ key a 9; u32 9; u64 1; u32 9; u64 1; printf 'xxxx'; } | one_key
refuse_file NESTED_ARRAY "key 'a': arrays of arrays are not allowed"
{ key a 9; u32 4; u64 $(((1 << 62) + 1)); printf 'xxxx'; } | one_key
refuse_file ARRAY_EXHAUSTION "key 'a': 4611686018427387905 elements of uint32 do not fit in the 4 bytes left"
{ key a 9; u32 8; u64 $((1 << 40)); printf 'xxxx'; } | one_key
refuse_file STRING_ARRAY_EXHAUSTION "key 'a': 1099511627776 elements of string do not fit in the 4 bytes left"
{ key a 8; u64 1000; printf 'xxxx'; } | one_key
refuse_file STRING_BEYOND_FILE "key 'a' has a string of 1000 bytes, the file has 4 left"
{ key a 7; byte 2; } | one_key
refuse_file BAD_BOOL "key 'a': 2 is not a boolean"
{ header 0 2; key a 0; printf x; key a 0; printf y; } > x.gguf
refuse_file DUPLICATE_KEY "key 'a' appears twice"
{ key general.alignment 4; u32 13; } | one_key
refuse_file BAD_ALIGN "general.alignment 13 is not a power of two"
{ key general.alignment 4; u32 0; } | one_key
refuse_file ALIGN_ZERO "general.alignment 0 is not a power of two"
{ key general.alignment 8; text 32; } | one_key
refuse_file ALIGN_OF_WRONG_TYPE "general.alignment must be uint32, is string"

one_tensor "$(printf 'n%.0s' {1..65})" 0 0 16
refuse_file BAD_NAME_SIZE "tensor 1 of 1 has a name of 65 bytes (limit 64)"
{ header 2 0; tensor a 0 0 16; tensor a 0 64 16; } > x.gguf
padded 128
refuse_file DUPLICATE_NAME "tensor 'a' is listed twice"
one_tensor a 0 0 1 1 1 1 16
refuse_file BAD_N_DIMS "tensor 'a': 5 dimensions (at most 4)"
one_tensor a 0 0 0 16
refuse_file ZERO_DIM "tensor 'a': dimension 1 is 0"
one_tensor a 0 0 16 -1
refuse_file BAD_SHAPE "tensor 'a': dimension 2 is -1"
one_tensor a 0 0 $most 2
refuse_file NE_TOO_BIG "tensor 'a': shape [2,$most] is too large"
one_tensor a 0 0 4194305 4194305 211106198978564
refuse_file NE_PRODUCT_WRAPS "tensor 'a': shape [211106198978564,4194305,4194305] is too large"
one_tensor a 0 0 $most
refuse_file NBYTES_OVERFLOW "tensor 'a': shape [$most] is too large"
{ header 3 0; tensor a 0 0 $((1 << 60)); tensor b 0 $((1 << 62)) $((1 << 60)); tensor c 0 $((1 << 63)) $((1 << 60)); } > x.gguf
padded 64
refuse_file MEM_SIZE_OVERFLOW "tensor 'a' needs 4611686018427387904 bytes at 0, data has 64 bytes"
one_tensor a 43 0 16
refuse_file BAD_TENSOR_TYPE "tensor 'a': format 43 is unknown"
one_tensor a 8 0 33
refuse_file ROW_NOT_BLOCKS "tensor 'a': rows of 33 numbers do not divide into blocks of 32 (Q8_0)"
one_tensor a 0 33 16
refuse_file BAD_OFFSET "tensor 'a': offset 33 is not a multiple of the alignment 32"
one_tensor a 0 -32 16
refuse_file OFFSET_WRAPS "tensor 'a' needs 64 bytes at 18446744073709551584, data has 64 bytes"
one_tensor a 0 0 17
refuse_file NOT_ENOUGH_DATA "tensor 'a' needs 68 bytes at 0, data has 64 bytes"
{ header 2 0; tensor a 0 0 16; tensor b 0 32 16; } > x.gguf
padded 128
refuse_file OVERLAP "tensors 'a' and 'b' overlap"
{ header 2 0; tensor a 0 0 16; tensor b 0 128 16; } > x.gguf
padded 192
refuse_file HOLE "bytes 64-128 belong to no tensor"
one_tensor a 0 0 4
refuse_file TRAILING_DATA "48 extra bytes after the last tensor"

# Whole files of another kind, and a model that this program does not compute.
printf '<!DOCTYPE html><html></html>' > x.gguf
refuse HTML 3 "'x.gguf' looks like an HTML page; the download failed" -- generate --model-path x.gguf --prompt a
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n' > x.gguf
refuse LFS_POINTER 3 "'x.gguf' is a Git LFS pointer (64 bytes), not the file" "git lfs pull" -- generate --model-path x.gguf --prompt a
{ key general.architecture 8; text mamba; } | one_key
refuse_file ARCHITECTURE "GGUF architecture 'mamba' is not supported; supported are llama,"
cp "$SOURCES/fuzz/corpus/gguf/split" x.gguf
refuse SPLIT 3 "x.gguf: is one of 2 parts of a split model" "join them" -- generate --model-path x.gguf --prompt a
cp "$SOURCES/fuzz/corpus/gguf/unknown_key" x.gguf
refuse_file UNKNOWN_KEY "key 'llama.logit_scale' is not supported"
cp "$SOURCES/fuzz/corpus/gguf/heads_0" x.gguf
refuse_file HEADS_0 "key 'llama.attention.head_count' is 0, must be between 1 and 2147483648"

# The other verbs read by the same rules.
cp "$SOURCES/fuzz/corpus/gguf/overlap" x.gguf
refuse inspect 3 "x.gguf: tensors 'a' and 'b' overlap" -- inspect x.gguf
refuse convert 3 "x.gguf: tensors 'a' and 'b' overlap" -- convert x.gguf --output y.gguf
refuse verify 3 "x.gguf: tensors 'a' and 'b' overlap" -- verify-export "$SOURCES/tests/model/gguf/llama.gguf" x.gguf
# A good file cut anywhere; the cuts land in the header, the metadata, the tensor infos and the data.
whole=$SOURCES/tests/model/gguf/llama.gguf
for bytes in 3 11 24 700 5000 12000 14000 100000 $(($(stat -c %s "$whole") - 100)); do
  head -c "$bytes" "$whole" > x.gguf
  refuse "cut at $bytes" 3 "x.gguf" -- generate --model-path x.gguf --prompt a
done
finish
