#!/usr/bin/env bash
# Build a wheel for those who install without a compiler: bash engine/wheels.sh PYTHON [FOLDER]
#
# One wheel serves every Python from 3.11 on (abi3). Its tag names the oldest glibc that it runs on:
# that of this machine, or an older one. So build on the oldest distribution that shall run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 folder=${2:-dist}
# shellcheck source-path=SCRIPTDIR/.. source=engine/compiler.sh
source engine/compiler.sh

get_compiler
mkdir -p "$folder"
build wheel --verbose --disable-pip-version-check --no-deps --wheel-dir "$folder" \
    --config-settings=build-args="--compatibility pypi" .
ls "$folder"/*.whl
