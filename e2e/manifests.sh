#!/usr/bin/env bash
# The manifests against a world's API server (E2E_WORLD): each one applied for real with each field known, its objects there,
# its pods made, under the Pod Security Standard that it promises to satisfy; and taken away again. Leaves nothing behind.
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MANIFESTS=$E2E/../manifests
# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"
# shellcheck source=lib/apply.sh
source "$E2E/lib/apply.sh"

kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

scratch=$(mktemp -d)
applied=
leave() {
    [ -z "$applied" ] || kubectl delete --ignore-not-found --wait=false -f "$applied" >/dev/null
    kubectl delete --ignore-not-found --wait=false namespace -l e2e=manifests >/dev/null
    no_operator_types
    rm -rf "$scratch"
}
trap leave EXIT

# A folder whose kustomization.yaml, the standard input, names manifests/... as they lie beside it.
overlay() { # NAMESPACE -> the folder
    local folder=$scratch/$1
    mkdir "$folder"
    cp -r "$MANIFESTS" "$folder/manifests"
    cat >"$folder/kustomization.yaml"
    moved_to "$1" "$folder"
    echo "$folder"
}

# The controllers make the pods, or are refused and say so in an event.
pods() { kubectl -n "$1" get pods --selector "$2" -o name; }
pods_made() { # NAMESPACE LABEL:COUNT
    local end=$((SECONDS + 30)) label=${2%:*} count=${2#*:} found
    until found=$(pods "$1" "$label") && [ "$(wc -w <<<"$found")" = "$count" ]; do
        if [ $SECONDS -ge $end ]; then
            echo "manifests: not $count pods with $label in $1, but: $found" >&2
            kubectl -n "$1" get events --field-selector reason=FailedCreate -o custom-columns=MESSAGE:.message >&2
            return 1
        fi
        sleep 0.1
    done
    echo "   $count pods with $label"
}

# NAME LEVEL OBJECTS [LABEL:PODS]...; the kustomization is the standard input.
applies() {
    local name=e2e-$1 level=$2 objects=$3 folder found want
    folder=$(overlay "$name")
    namespace "$name" "$level"
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$folder" >"$folder/objects.yaml"
    applied=$folder/objects.yaml
    kubectl apply --validate=strict -f "$applied" >"$folder/said"
    ! grep -v ' created$' "$folder/said" || { echo "manifests: not created anew" >&2; return 1; }
    found=$(kubectl get -f "$applied" -o name | wc -l)
    [ "$found" = "$objects" ] || { echo "manifests: $found objects of $objects" >&2; return 1; }
    echo "-- $1: $objects objects, where $level is enforced"
    for want in "${@:4}"; do pods_made "$name" "$want"; done
    kubectl delete --wait=true --timeout 60s -f "$applied" >/dev/null
    applied=
}

folder() { # FOLDER LEVEL OBJECTS [LABEL:PODS]...
    applies "$(tr -c 'a-z\n' - <<<"${1/#./whole}")" "${@:2}" <<END
resources: [manifests/$1]
END
}

operator_types

# As they are, word for word: in the namespace that they name, beside what the world has there.
for one in . ha drop-in tutorial monitoring tutorial-control-plane kafka kafka/smoke kafka/control-plane kafka/doughgle; do
    kubectl apply --dry-run=server --validate=strict -k "$MANIFESTS/$one" >/dev/null
done

folder . restricted 7 app=nfs-client-provisioner:1
folder ha restricted 8 app=nfs-client-provisioner:2
folder drop-in privileged 7 app=nfs-client-provisioner:1
folder tutorial privileged 7 app=nfs-client-provisioner:1
folder tutorial-control-plane privileged 7 app=nfs-client-provisioner:1
folder kafka restricted 3 app=kafka-app:3
folder kafka/smoke restricted 2 app=kafka-smoke:1
folder kafka/control-plane restricted 3 app=kafka-app:3
folder kafka/doughgle baseline 3 app=kafka-app:3
folder monitoring restricted 3
applies examples privileged 2 <<'END'
resources: [manifests/examples/claim.yaml, manifests/examples/pod.yaml]
END
applies by-services restricted 2 <<'END'
resources: [manifests/monitoring/servicemonitor.yaml]
END
applies by-annotations restricted 7 app=nfs-client-provisioner:1 <<'END'
resources: [manifests]
patches:
  - path: manifests/monitoring/scrape-annotations.yaml
END
# All at once, where they meet each other.
applies together restricted 14 app=nfs-client-provisioner:2 app=kafka-app:3 app=kafka-smoke:1 <<'END'
resources: [manifests/ha, manifests/kafka, manifests/kafka/smoke]
components: [manifests/network-policy]
END
# The kustomization that manifests/README.md has its reader write.
# shellcheck disable=SC2016
sed -n '/^```yaml/,/^```$/p' "$MANIFESTS/README.md" | grep -v '^```\|^namespace:' >"$scratch/told"
grep -q '^resources:' "$scratch/told" || { echo "manifests: README.md has no kustomization" >&2; exit 1; }
applies told restricted 9 app=nfs-client-provisioner:2 <"$scratch/told"
