#!/usr/bin/env bash
# Installs what building, running and testing falld needs on Debian, and nothing that is there already.
#
#   deploy/setup.sh build    OpenCV (the parts that falld uses), clang for its bindings, ONNX Runtime
#   deploy/setup.sh test     the same, and real brokers, an RTSP server and tools for the tests
#   deploy/setup.sh bench    the same, and the Python loop's packages in .falld/peer
#
# Runs apt-get as root or through sudo. ONNX Runtime comes from its Python wheel, checked by the hashes in
# deploy/onnxruntime.txt, and lands in .falld/.
set -euo pipefail
cd "$(dirname "$0")/.."

build=(libopencv-videoio-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libclang-14-dev clang-14 pkg-config
    gcc libc6-dev python3 python3-pip)
test=(mosquitto mosquitto-clients ffmpeg openssl python3-jinja2 python3-yaml python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav)

case "${1:-build}" in
build) want=("${build[@]}") ;;
test) want=("${build[@]}" "${test[@]}") ;;
bench) want=("${build[@]}" "${test[@]}" python3-venv) ;;
*)
    echo "setup.sh: expected 'build', 'test' or 'bench', got '$1'" >&2
    exit 64
    ;;
esac

missing=()
for package in "${want[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "setup.sh: these packages are missing: ${missing[*]}. Run it as root, or install sudo." >&2
            exit 77
        }
        root=(sudo)
    fi
    echo "installing: ${missing[*]}"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >.apt.log 2>&1 || {
        cat .apt.log >&2
        exit 1
    }
    rm -f .apt.log
    # Debian's mosquitto package starts a system broker; the tests start their own on free ports.
fi

library=.falld/libonnxruntime.so
if [ ! -f "$library" ]; then
    machine=$(uname -m)
    mkdir -p .falld/wheel
    echo "fetching ONNX Runtime for $machine"
    /usr/bin/python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --implementation cp --python-version 3.11 --abi cp311 --platform "manylinux_2_28_$machine" \
        --dest .falld/wheel -r deploy/onnxruntime.txt
    /usr/bin/python3 - "$library" .falld/wheel/onnxruntime-*.whl <<'PY'
import os, sys, zipfile
target, wheel = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    name = next(n for n in archive.namelist() if "/libonnxruntime.so." in n)
    with open(target + ".part", "wb") as out:
        out.write(archive.read(name))
os.rename(target + ".part", target)
PY
    rm -r .falld/wheel
fi

peer=.falld/peer
if [ "${1:-build}" = bench ] && ! cmp -s tests/peer/requirements.txt "$peer/requirements.txt"; then
    echo "installing the Python loop's packages in $peer"
    rm -rf "$peer"
    /usr/bin/python3 -m venv "$peer"
    "$peer/bin/pip" install --quiet --disable-pip-version-check -r tests/peer/requirements.txt
    # Last, so that an installation that was cut short is made anew.
    cp tests/peer/requirements.txt "$peer/"
fi
