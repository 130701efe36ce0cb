#!/usr/bin/env bash
# Install the checkout, editable, which compiles the core: bash engine/install.sh PYTHON EXTRAS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1 extras=$2
# shellcheck source-path=SCRIPTDIR/.. source=engine/compiler.sh
source engine/compiler.sh

get_compiler
build install --verbose --disable-pip-version-check -c constraints.txt -e ".$extras"
# Metadata of an installation by another build backend, which would list every plug-in twice.
rm -rf ordertide.egg-info
