#!/bin/bash
# The order of the layers, read off the #includes: a folder of lib/ may include its own files and those of the folders listed for
# it here. The linker (--no-undefined) refuses calls against this order; this check also sees what lives in headers alone.
# Prints one line per breach and fails if there is any. usage: check_layers.sh [FOLDER THAT HOLDS lib/]
set -o pipefail
cd "${1:-$(dirname "$0")/..}" || exit 2
find lib -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | sort | xargs awk '
function room(path,   i) {   # the longest listed folder that the path lies in
  for (i = 1; i <= rooms; i++) if (index(path, name[i] "/") == 1) return name[i]
  return ""
}
function allow(folder, others) { name[++rooms] = folder; above[folder] = " " others " " }
BEGIN {                      # nested folders first
  allow("model/kernels", "base")
  allow("serving/http/api", "base tokenizer serving serving/http serving/constraint")
  allow("text", "base tokenizer model serving")
  allow("serving/http", "base")
  allow("serving/constraint", "base")
  allow("base", "")
  allow("hub", "base")
  allow("gguf", "base")
  allow("tokenizer", "base gguf")
  allow("data", "base tokenizer")
  allow("model", "base hub gguf model/kernels")
  allow("training", "base tokenizer data model model/kernels")
  allow("serving", "base model model/kernels serving/constraint")
  allow("evaluation", "base tokenizer data model serving")
  allow("evolution", "base tokenizer data model training evaluation")
  tensorless = " base hub gguf tokenizer data serving/http serving/constraint text serving/http/api "
}
FNR == 1 { here = room(substr(FILENAME, 5)); if (here == "") { print FILENAME ": lies in no folder that the layers name"; bad = 1 } }
/^[ \t]*#[ \t]*include/ {
  split($0, part, /["<>]/)
  there = room(part[2])
  if (/"/ && there == "" && part[2] !~ /^build_facts\.h$/) { print FILENAME ":" FNR ": includes \"" part[2] "\", which is in no folder of lib/"; bad = 1 }
  if (there != "" && there != here && index(above[here], " " there " ") == 0) {
    print FILENAME ":" FNR ": " here " must not include " part[2]; bad = 1
  }
  if (index(tensorless, " " here " ") && part[2] ~ /^(torch|ATen|c10)\//) { print FILENAME ":" FNR ": " here " needs no tensors, yet includes " part[2]; bad = 1 }
}
END { exit bad }
'
