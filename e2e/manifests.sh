#!/usr/bin/env bash
# The manifests against a world's API server (E2E_WORLD): each field known, each object taken, and the Deployment's pod
# admitted where the restricted Pod Security Standard is enforced. Leaves nothing behind.
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"

kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

# The whole lot in place of the Go provisioner's, and what users try it with: checked and admitted, not stored.
kubectl apply --dry-run=server --validate=strict -k "$E2E/../manifests"
kubectl apply --dry-run=server --validate=strict -f "$E2E/../manifests/examples"

remove() { kubectl delete --ignore-not-found --wait=false -k "$E2E/testdata/restricted" >/dev/null; }
trap remove EXIT
kubectl apply --server-side --validate=strict -k "$E2E/testdata/restricted"

# The ReplicaSet's controller makes the pod, or is refused and says so in an event.
if ! kubectl -n restricted wait --for=create pod --selector app=nfs-client-provisioner --timeout 30s; then
    kubectl -n restricted get events --field-selector reason=FailedCreate -o custom-columns=MESSAGE:.message >&2
    exit 1
fi
