#!/usr/bin/env bash
# The manifests against a world's API server (E2E_WORLD): each field known, each object taken, and the pods of all that
# claims it admitted where the restricted Pod Security Standard is enforced. Leaves nothing behind.
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MANIFESTS=$E2E/../manifests
# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"

kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

# In place of the Go provisioner's: checked and admitted, not stored. Monitoring needs the Prometheus operator's types.
for folder in . ha drop-in tutorial kafka kafka/smoke kafka/control-plane kafka/doughgle; do
    echo "-- $folder"
    kubectl apply --dry-run=server --validate=strict -k "$MANIFESTS/$folder"
done
kubectl apply --dry-run=server --validate=strict -f "$MANIFESTS/examples"

remove() { kubectl delete --ignore-not-found --wait=false -k "$E2E/testdata/restricted" >/dev/null; }
trap remove EXIT
kubectl apply --server-side --validate=strict -k "$E2E/testdata/restricted"

# The controllers make the pods, or are refused and say so in an event.
pods() { kubectl -n restricted get pods --selector "$1" -o name | wc -l; }
for want in app=nfs-client-provisioner:2 app=kafka-app:3 app=kafka-smoke:1; do
    end=$((SECONDS + 30))
    until [ "$(pods "${want%:*}")" = "${want#*:}" ]; do
        if [ $SECONDS -ge $end ]; then
            echo "manifests: $(pods "${want%:*}") of ${want#*:} pods with ${want%:*}" >&2
            kubectl -n restricted get events --field-selector reason=FailedCreate -o custom-columns=MESSAGE:.message >&2
            exit 1
        fi
        sleep 0.1
    done
    echo "restricted: ${want#*:} pods with ${want%:*}"
done
