#!/usr/bin/env bash
# Makes a private Python environment under target/venv and prints the path of its interpreter.
#
#   bash tests/python.sh oracles      torch, numpy, safetensors    (tests/oracles/make_oracles.py)
#   bash tests/python.sh bench        torch, numpy                 (trainer/bench/pytorch_learner.py)
#   bash tests/python.sh statistics   rliable, arch, scipy, numpy  (tests/oracles/run_statistics.py)
#   bash tests/python.sh onnx         onnx, onnxruntime, numpy
#   bash tests/python.sh tensorboard  tensorboard
#   bash tests/python.sh bridge       numpy, mpe2, pettingzoo, lbforaging, rware (tests/bridge, trainer/python/tests)
#   bash tests/python.sh smax         jax, jaxmarl                 (trainer/bench/smax_steps.py)
#
# Several groups may be named at once. Standard output carries the path and nothing else, so it can be used as
#   python=$(bash tests/python.sh oracles)
# A group that is installed already costs nothing. DDN_VENV names another folder, DDN_PYTHON another base interpreter.
set -euo pipefail

fail() { echo "tests/python.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${DDN_VENV:-$root/target/venv}
base=${DDN_PYTHON:-python3}

numpy="numpy==2.4.6"
safetensors="safetensors==0.8.0"
torch="torch==2.15.0"
# What torch imports on a CPU besides itself.
torch_needs="filelock==4.2.11 fsspec==2026.9.0 jinja2==3.1.6 markupsafe==3.0.4 mpmath==1.3.0 networkx==3.6.1
    setuptools==84.2.1 sympy==1.14.0 typing_extensions==4.16.0"
# The two small CUDA libraries that torch's x86 Linux wheel calls while it loads.
torch_cuda="nvidia-cuda-runtime==13.2.75 nvidia-cuda-cupti==13.2.75"
onnx="onnx==1.23.2 onnxruntime==1.32.0"
tensorboard="tensorboard==2.21.0"
bridge="gymnasium==1.4.0 lbforaging==2.0.0 mpe2==1.1.1 pettingzoo==1.27.0 rware==2.0.0"
# rliable's plots are not used, so what they need is left out.
rliable="rliable==1.2.0"
rliable_needs="absl-py==2.5.1 arch==7.2.0 pandas==2.3.3 scipy==1.17.1 statsmodels==0.15.0"
smax="jax==0.10.2 jaxlib==0.10.2 jaxmarl==0.2.0"

[ $# -gt 0 ] || fail "name a group: oracles, bench, statistics, onnx, tensorboard, bridge or smax"
for group in "$@"; do
    case $group in
        oracles | bench | statistics | onnx | tensorboard | bridge | smax) ;;
        *) fail "unknown group '$group'; the groups are oracles, bench, statistics, onnx, tensorboard, bridge and smax" ;;
    esac
done

command -v "$base" >/dev/null || fail "no '$base' found; install Python 3.11 or newer, or set DDN_PYTHON"
"$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$base' is $("$base" --version 2>&1); Python 3.11 or newer is needed"

# One installation at a time, where the system has flock.
mkdir -p "$venv"
if command -v flock >/dev/null; then
    exec 9>"$venv/.lock"
    flock 9
fi
if ! { [ -f "$venv/.made" ] && "$venv/bin/python" -c '' 2>/dev/null; }; then
    "$base" -m venv "$venv" >&2 || fail "'$base -m venv' failed; on Debian it needs the package python3-venv"
    touch "$venv/.made"
fi
python=$venv/bin/python

pip_install() {
    "$python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >&2 ||
        fail "pip could not install: $*"
}

# torch's wheel for x86 Linux is the CUDA build. Its declared dependencies are several gigabytes of CUDA libraries that a
# CPU never calls, yet the loader wants them to exist. So torch is installed without them, and each missing library is
# replaced by an empty one that defines the names torch refers to. Every such function stops the process if called, which
# does not happen: without a driver torch finds no GPU. Other platforms' wheels have no such dependencies.
stub_cuda() {
    command -v cc >/dev/null && command -v nm >/dev/null || fail "cc and nm (gcc and binutils) are needed to install torch"
    local lib work name prefix
    lib=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"] + "/torch/lib")')
    work=$(mktemp -d)
    nm -D --undefined-only "$lib"/libtorch_cuda.so "$lib"/libtorch_cuda_linalg.so "$lib"/libtorch_nvshmem.so \
        "$lib"/libtorch_python.so "$lib"/libcaffe2_nvrtc.so | awk 'NF == 2 { print $2 }' | sort -u >"$work/undefined"
    while read -r name prefix; do
        # A line of nm is name@version or a bare name; a library's names share a prefix and a version.
        awk -F@ -v prefix="^$prefix" '$1 ~ prefix { print $1, $2 }' "$work/undefined" >"$work/symbols"
        awk '{ print "void " $1 "(void) { __builtin_trap(); }" }' "$work/symbols" >"$work/stub.c"
        # The version node that the references ask for, if they ask for any.
        awk 'NF == 2 { print $2 }' "$work/symbols" | sort -u | awk '{ print $1 " { global: *; };" }' >"$work/versions"
        [ "$(wc -l <"$work/versions")" -le 1 ] || fail "more than one version of the names in $name"
        local options=(-w -shared -fPIC -nostdlib -fno-builtin "-Wl,-soname,$name")
        [ -s "$work/versions" ] && options+=("-Wl,--version-script=$work/versions")
        cc "${options[@]}" -o "$lib/$name" "$work/stub.c" || fail "cc could not make the stand-in for $name"
    done <<'LIBRARIES'
libcublas.so.13 cublas[^L]
libcublasLt.so.13 cublasLt
libcudnn.so.9 cudnn
libcufft.so.12 cufft
libcufile.so.0 cuFile
libcusolver.so.12 cusolver
libcusparse.so.12 cusparse[^L]
libcusparseLt.so.0 cusparseLt
libnccl.so.2 nccl
libnvrtc.so.13 nvrtc
libnvshmem_host.so.3 nvshmem
LIBRARIES
    rm -rf "$work"
}

install_torch() {
    local marker="$venv/.torch-$(echo "$torch $torch_needs $torch_cuda" | cksum | cut -d' ' -f1)"
    [ -f "$marker" ] && return
    echo "tests/python.sh: installing $torch (a download of about 550 MB)" >&2
    # shellcheck disable=SC2086
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64)
            pip_install --no-deps "$torch" $torch_needs $torch_cuda
            stub_cuda
            ;;
        *) pip_install "$torch" $torch_needs ;;
    esac
    "$python" -c 'import torch; torch.ones(2, requires_grad=True).sum().backward()' >&2 ||
        fail "torch was installed but does not load"
    touch "$marker"
}

install() {
    local marker="$venv/.pip-$(echo "$*" | cksum | cut -d' ' -f1)"
    [ -f "$marker" ] && return
    pip_install "$@"
    touch "$marker"
}

for group in "$@"; do
    # shellcheck disable=SC2086
    case $group in
        oracles) install $numpy $safetensors && install_torch ;;
        bench) install $numpy && install_torch ;;
        statistics) install $numpy $rliable_needs && install --no-deps $rliable ;;
        onnx) install $numpy $onnx ;;
        tensorboard) install $tensorboard ;;
        bridge) install $numpy $bridge ;;
        smax) install $smax ;;
    esac
done
echo "$python"
