#!/usr/bin/env bash
# Packs `cargo xtask bench` for a machine that has a GPU and a Python with PyTorch, and neither this
# repository nor a network: the program, the two bundled targets and the Python packages that PyTorch
# does not bring.
#
#     scripts/pack_bench.sh [cuda|wgpu|cpu]     # makes TARGET/bench-DEVICE.tar.xz
#
# There:
#
#     tar xf bench-cuda.tar.xz && bench-cuda/run.sh [options of `cargo xtask bench`]
#
# A build for CUDA needs a network, since CubeCL's build script downloads LLVM.
#
# The table ends up in bench-cuda/target/bench. The other machine needs the same system and version of
# Python as this one.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-cuda}
target=${CARGO_TARGET_DIR:-target}
limit=$((64 * 1000 * 1000))
case $device in
    cuda | wgpu) features=(--features "$device") ;;
    cpu) features=() ;;
    *) echo "no device $device; one of cuda, wgpu and cpu" >&2 && exit 2 ;;
esac

cargo build --release -p xtask "${features[@]}"
pack=$target/bench-$device
rm -rf "$pack"
mkdir -p "$pack/scripts" "$pack/datasets/zoo" "$pack/wheels"
strip -o "$pack/xtask" "$target/release/xtask"
cp scripts/bench_pytorch.py "$pack/scripts"
cp -r datasets/zoo/demo datasets/zoo/clap-htsat "$pack/datasets/zoo"

# What transformers needs, at this repository's versions; PyTorch and numpy are there already.
version() { grep -E "^$1==" scripts/requirements.txt; }
python3 -m pip download --quiet --no-deps --dest "$pack/wheels" \
    "$(version transformers)" "$(version tokenizers)" "$(version safetensors)" \
    huggingface_hub hf_xet httpx httpcore h11 anyio idna certifi click shellingham typer \
    typing_extensions filelock fsspec packaging pyyaml regex tqdm

cat > "$pack/run.sh" <<RUN
#!/usr/bin/env bash
set -euo pipefail
cd "\$(dirname "\$0")"
python=\${PYTHON:-python3}
[ -d env ] || "\$python" -m venv --system-site-packages env
env/bin/python -m pip install --quiet --no-index --no-deps wheels/*.whl
exec ./xtask bench --device $device --root . --python env/bin/python "\$@"
RUN
chmod +x "$pack/run.sh"

tar --create --xz --file "$pack.tar.xz" --directory "$target" "bench-$device"
size=$(stat --format %s "$pack.tar.xz")
echo "$pack.tar.xz: $((size / 1000 / 1000)) MB"
[ "$size" -le "$limit" ] || { echo "more than $limit bytes" >&2; exit 1; }
