#!/usr/bin/env bash
# Installs ONNX Runtime into the private Python environment and prints the path of its shared library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
"$(bash tests/python.sh onnx)" - <<'PY'
import glob, os, sys, onnxruntime
found = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.*"))
found = [name for name in found if ".so" in name or name.endswith(".dylib")]
sys.exit("the onnxruntime package has no library") if not found else print(found[0])
PY
