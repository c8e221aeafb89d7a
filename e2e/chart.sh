#!/usr/bin/env bash
# The Helm chart against a world's API server (E2E_WORLD): linted; rendered and compared with tests/chart/*.yaml;
# installed where the restricted Pod Security Standard is enforced; and upgraded to from releases of the Go chart, with
# that chart's values reused. Leaves nothing behind.
#
#   UPDATE=1 e2e/chart.sh     writes tests/chart/*.yaml anew, from tests/chart/*.values.yaml, and needs no world
#
# The Go chart itself is not here. In its place stands a chart of the same name and version which has the Go chart's
# values (tests/golden/go-chart/values.yaml) and whose templates are what the Go chart rendered: to Helm and to the API
# server the release is the same.
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TESTS=$E2E/../tests
CHART=$E2E/../charts/nfs-subdir-external-provisioner
HELM=$("$E2E/helm/build.sh")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HELM_CACHE_HOME=$scratch HELM_CONFIG_HOME=$scratch HELM_DATA_HOME=$scratch

say() { echo "-- $*"; }

snapshots() {
    local values name
    for values in "$TESTS"/chart/*.values.yaml; do
        name=$(basename "$values" .values.yaml)
        "$HELM" lint --quiet --strict "$CHART" --values "$values"
        "$HELM" template nfs "$CHART" --namespace storage --values "$values" >"$scratch/$name.yaml"
        if [ "${UPDATE:-}" = 1 ]; then
            cp "$scratch/$name.yaml" "$TESTS/chart/$name.yaml"
        elif ! diff -u "$TESTS/chart/$name.yaml" "$scratch/$name.yaml"; then
            echo "chart: renders other than tests/chart/$name.yaml; if that is meant: UPDATE=1 e2e/chart.sh" >&2
            return 1
        fi
    done
}

# Runs a command that must fail, and say TEXT.
refused() { # TEXT COMMAND...
    local text=$1
    shift
    if "$@" >"$scratch/refused" 2>&1; then
        echo "chart: succeeded, but must be refused: $*" >&2
        return 1
    fi
    grep -qF "$text" "$scratch/refused" || {
        echo "chart: refused without saying '$text':" >&2
        cat "$scratch/refused" >&2
        return 1
    }
}

values_as_given() {
    local given=(nfs "$CHART" --set nfs.server=nas.example)
    "$HELM" template "${given[@]}" --set podDisruptionBudget.enabled=true,podDisruptionBudget.maxUnavailable=0 |
        grep -qx '  maxUnavailable: 0'
    refused METRICS_ADDR "$HELM" template "${given[@]}" --set env.METRICS_ADDR=127.0.0.1:1
    refused NFS_SERVER "$HELM" template "${given[@]}" --set env.NFS_SERVER=other.example
}

say "lint, snapshots"
snapshots
values_as_given
[ "${UPDATE:-}" = 1 ] && exit

# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"
export KUBECONFIG=$ADMIN_KUBECONFIG
kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }
helm() { "$HELM" "$@"; }
# shellcheck source=lib/apply.sh
source "$E2E/lib/apply.sh"

leave() {
    kubectl delete --ignore-not-found --wait=false namespace storage chart-restricted >/dev/null
    # What a failure in the middle leaves in the cluster's own scope; the chart's objects all bear these labels.
    kubectl delete --wait=false -l 'heritage=Helm,release in (nfs, fresh)' \
        storageclass,clusterrole,clusterrolebinding,persistentvolume >/dev/null
    no_operator_types
    rm -rf "$scratch"
}
trap leave EXIT
operator_types

# The chart that stands in the Go chart's place, with what that rendered for one set of values.
go_chart() { # RECORD -> its folder
    local chart=$scratch/go-$1/nfs-subdir-external-provisioner
    mkdir -p "$chart/templates"
    printf 'apiVersion: v1\nname: nfs-subdir-external-provisioner\nversion: 4.0.18\nappVersion: 4.0.2\n' >"$chart/Chart.yaml"
    cp "$TESTS/golden/go-chart/values.yaml" "$chart/"
    # Recorded without a cluster, for which that chart takes a version of this API that none serves any more.
    sed 's|^apiVersion: policy/v1beta1|apiVersion: policy/v1|' "$TESTS/golden/go-chart/rendered-$1.yaml" \
        >"$chart/templates/rendered.yaml"
    echo "$chart"
}

deployment() { kubectl -n storage get deployment nfs-nfs-subdir-external-provisioner -o jsonpath="$1"; }

class() {
    kubectl get storageclass nfs-client -o jsonpath='{.metadata.uid}{.provisioner}{.parameters}{.mountOptions}{.reclaimPolicy}'
}

upgraded_from_go() { # RECORD
    local chart uid class left image=stand-in.example/nfs-subdir-external-provisioner
    chart=$(go_chart "$1")
    say "the Go chart's release, record $1"
    helm install nfs "$chart" --namespace storage --create-namespace --values "$TESTS/chart/$1.values.yaml" >/dev/null
    uid=$(deployment '{.metadata.uid}')
    class=$(class)

    say "upgrade --reuse-values is refused while the image is the Go provisioner's"
    refused "is the Go provisioner's" helm upgrade nfs "$CHART" --namespace storage --reuse-values

    say "upgrade --reuse-values with the image"
    helm upgrade nfs "$CHART" --namespace storage --reuse-values \
        --set "image.repository=$image" --set image.tag=0.1.0 | grep -E '^(STATUS|REVISION)'
    [ "$(deployment '{.metadata.uid}')" = "$uid" ]
    [ "$(deployment '{.spec.template.spec.containers[*].image}')" = "$image:0.1.0" ]
    # Of the old pod nothing that this one does not want is left: no volume, and no claim for one.
    left=$(deployment '{.spec.template.spec.volumes}{.spec.template.spec.containers[*].volumeMounts}')
    [ -z "$left" ]
    [ "$(deployment '{.spec.template.spec.securityContext.runAsUser}')" = 65532 ]
    kubectl -n storage wait --for=delete pvc/pvc-nfs-nfs-subdir-external-provisioner --timeout 30s

    say "and the class is the one that was there"
    [ "$(class)" = "$class" ]

    say "rollback from 0 replicas, as docs/migration.md tells, and forward with this chart's own values"
    kubectl -n storage scale deployment nfs-nfs-subdir-external-provisioner --replicas=0 >/dev/null
    helm rollback nfs 1 --namespace storage >/dev/null
    [ "$(deployment '{.spec.replicas}')" = 1 ]
    [ "$(deployment '{.spec.template.spec.volumes[*].name}')" = nfs-subdir-external-provisioner-root ]
    helm upgrade nfs "$CHART" --namespace storage --values "$TESTS/chart/$1.values.yaml" >/dev/null
    [ "$(deployment '{.metadata.uid}')" = "$uid" ]
    helm uninstall nfs --namespace storage >/dev/null
}

fresh() {
    say "install where the restricted standard is enforced, several classes"
    kubectl create namespace chart-restricted --dry-run=client -o yaml | kubectl apply -f - >/dev/null
    kubectl label --overwrite namespace chart-restricted pod-security.kubernetes.io/enforce=restricted >/dev/null
    helm install fresh "$CHART" --namespace chart-restricted --set nfs.server=nas.example,replicaCount=2 \
        --set networkPolicy.enabled=true,podDisruptionBudget.enabled=true,podMonitor.enabled=true \
        --set 'storageClasses[0].name=second,storageClasses[0].parameters.share=/second' | grep -E '^(STATUS|REVISION)'
    local left monitored end=$((SECONDS + 30))
    until [ "$(kubectl -n chart-restricted get pods -l release=fresh -o name | wc -l)" = 2 ]; do
        if [ $SECONDS -ge $end ]; then
            kubectl -n chart-restricted get events --field-selector reason=FailedCreate -o custom-columns=M:.message >&2
            return 1
        fi
        sleep 0.1
    done
    monitored=$(kubectl -n chart-restricted get podmonitor -o jsonpath='{.items[*].spec.selector.matchLabels.release}')
    [ "$monitored" = fresh ]
    [ "$(kubectl get storageclass second -o jsonpath='{.parameters.share}')" = /second ]
    say "a value of the wrong kind is refused by the schema"
    refused "replicaCount" helm upgrade fresh "$CHART" --namespace chart-restricted --reuse-values --set replicaCount=many
    refused "nfs.server" helm upgrade fresh "$CHART" --namespace chart-restricted --reset-values
    helm upgrade fresh "$CHART" --namespace chart-restricted --reuse-values --set storageClasses=null >/dev/null
    helm uninstall fresh --namespace chart-restricted >/dev/null
    left=$(kubectl get --all-namespaces podmonitor,storageclass,clusterrole,clusterrolebinding -l release=fresh -o name)
    [ -z "$left" ]
}

upgraded_from_go default
upgraded_from_go options
fresh
