#!/usr/bin/env bash
# Check the deployment files as far as this goes without containers: Dockerfile, compose file,
# manifests. All of them in two seconds; silent unless something is wrong.
#
#   bash deploy/check.sh PROGRAMS    the folder of the checks' programs, such as .venv/bin
set -euo pipefail
programs=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"

# The oldest and the newest Kubernetes that is still maintained when a version of ours comes out.
kubernetes=(1.33 1.37)

"$programs/hadolint" --config hadolint.yaml Dockerfile
"$programs/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml | grep -v '^ok --' || (exit "${PIPESTATUS[0]}")
# Kustomizations and KEDA's objects are no kinds of Kubernetes, a patch is none without its target:
# tests/deploy/test_k8s.py reads them.
for version in "${kubernetes[@]}"; do
    find k8s -name '*.yaml' -not -name kustomization.yaml -not -path '*/keda/*' -not -name '*-size.yaml' \
        -exec "$programs/kubernetes-validate" --strict --quiet -k "$version" {} +
done
