#!/usr/bin/env bash
# The command of docs/operations.md that takes our finalizer off, by its own words, against a world's API server (E2E_WORLD):
# off our volumes, wherever in the list it stands, and off nobody else's. Leaves nothing behind.
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"
scratch=$(mktemp -d)
printf '#!/bin/sh\nexec "%s" --kubeconfig "%s" "$@"\n' "$KUBECTL" "$ADMIN_KUBECONFIG" >"$scratch/kubectl"
chmod 755 "$scratch/kubectl"
PATH=$scratch:$PATH

OURS=external-provisioner.volume.kubernetes.io/finalizer
BY=pv.kubernetes.io/provisioned-by
LABEL=e2e=finalizer

leave() {
    local left
    kubectl delete pv --wait=false -l $LABEL >/dev/null
    left=$(kubectl get pv -l $LABEL -o name)
    for volume in $left; do
        # Some go by themselves in this moment.
        kubectl patch "$volume" --type=merge -p '{"metadata":{"finalizers":null}}' >/dev/null 2>&1 || true
    done
    rm -rf "$scratch"
}
trap leave EXIT

volume() { # NAME ANNOTATIONS FINALIZERS
    kubectl create -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: e2e-finalizer-$1, labels: {e2e: finalizer}, annotations: {$2}, finalizers: [$3]}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  nfs: {server: nas.example, path: /export/$1}
YAML
}
finalizers() { kubectl get pv "e2e-finalizer-$1" -o jsonpath='{.metadata.finalizers[*]}'; }
foreign() { for name in without csi hand; do echo "$name: $(finalizers $name)"; done; }

volume first "$BY: k8s-sigs.io/nfs-subdir-external-provisioner" "$OURS, example.com/other"
volume last "$BY: k8s-sigs.io/nfs-subdir-external-provisioner" "example.com/other, $OURS"
volume without "$BY: k8s-sigs.io/nfs-subdir-external-provisioner" example.com/other
volume csi "$BY: csi.example.com" "$OURS, example.com/other"
volume hand "" "$OURS"
before=$(foreign)
[ "$(grep -c "$OURS" <<<"$before")" = 2 ]

awk '/^## / { here = /Taking the provisioner away/ } here && /^```/ { inside = !inside; next } here && inside' \
    "$E2E/../docs/operations.md" >"$scratch/command"
[ -s "$scratch/command" ] || { echo "finalizer: docs/operations.md has no such command" >&2; exit 1; }
sh -eu "$scratch/command"

for name in first last; do
    left=$(finalizers $name)
    [[ $left = *example.com/other* && $left != *"$OURS"* ]] || { echo "finalizer: $name has: $left" >&2; exit 1; }
done
diff <(echo "$before") <(foreign) || { echo "finalizer: volumes of others are not as they were" >&2; exit 1; }
echo "finalizer: taken off our volumes, and off nobody else's"
