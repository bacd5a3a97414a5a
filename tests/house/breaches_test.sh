#!/bin/bash
# Each rule of check_layers.sh and check_sources.sh refuses the smallest breach of it, and names file and line.
scripts=$(cd "$(dirname "$0")/../../scripts" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"/{lib/{base,data,model/kernels,training,serving},apps,tests,benchmarks,examples,scripts,.ci}
failed=0

expect_breach() {  # check, file, its text, what must be said
  local said
  mkdir -p "$(dirname "$folder/$2")"
  printf '%b' "$3" > "$folder/$2"
  if said=$("$scripts/$1.sh" "$folder" 2> /dev/null); then echo "not refused by $1: $3"; failed=1; fi
  if ! grep -qF "$4" <<< "$said"; then echo "$1 does not say '$4' but: $said"; failed=1; fi
  rm "$folder/$2"
}

expect_breach check_layers lib/base/a.h '// A.\n#include "model/config.h"\n' 'lib/base/a.h:2: base must not include model/config.h'
expect_breach check_layers lib/training/a.cpp '#include "serving/engine.h"\n' 'lib/training/a.cpp:1: training must not include serving/engine.h'
expect_breach check_layers lib/model/kernels/a.cpp '#include "model/config.h"\n' 'model/kernels must not include model/config.h'
expect_breach check_layers lib/data/a.cpp '#include <ATen/ATen.h>\n' 'data needs no tensors'
expect_breach check_layers lib/serving/a.cpp '#include "apps/command.h"\n' 'which is in no folder of lib/'
expect_breach check_layers lib/elsewhere/a.cpp 'int a;\n' 'lies in no folder'
expect_breach check_sources lib/model/a.cpp 'auto x = torch::load(path);\n' 'lib/model/a.cpp:1:'
expect_breach check_sources apps/a.cpp 'auto x = torch::jit::load(path);\n' 'pickle runs code'
expect_breach check_sources lib/model/a.cpp '#include <torch/torch.h>\n' 'slow to compile'
expect_breach check_sources lib/model/a.h '#pragma once\nint a;\n' 'starts with prose'
expect_breach check_sources lib/base/a.cpp 'std::regex pattern;\n' 'std::regex recurses'
expect_breach check_sources lib/base/a.cpp "$(printf '\\n%.0s' {1..501})" '501 lines'

printf '#include "base/error.h"\n#include "model/kernels/kernels.h"\n' > "$folder/lib/training/a.cpp"
printf '#!/bin/bash\n' | tee "$folder/scripts/a.sh" > "$folder/.ci/run"
chmod +x "$folder/scripts/a.sh" "$folder/.ci/run"
for check in check_layers check_sources; do
  "$scripts/$check.sh" "$folder" || { echo "$check refuses what is allowed"; failed=1; }
done
exit $failed
