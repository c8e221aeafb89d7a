#!/usr/bin/env bash
# What those who run it see, against a world (E2E_WORLD) and the binary (E2E_BINARY): the alerts' tables, then a real
# Prometheus that scrapes a real provisioner while things break: alerts come and go, and the dashboard's queries have
# answers. Needs Debian's prometheus. Leaves nothing behind but logs in the world's folder.
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MONITORING=$E2E/../manifests/monitoring
# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"
# shellcheck source=/dev/null
source "$E2E_WORLD/params"

RUN=$E2E_WORLD/monitoring
PAGE=http://127.0.0.1:$((BASE + 60))/metrics
PROMETHEUS=http://127.0.0.1:$((BASE + 61))
PROVISIONER=e2e/monitoring
mkdir -p "$RUN"

kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }
say() { echo "monitoring: $*"; }

within() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >"$RUN/last" 2>&1; do
        if [ $SECONDS -ge $end ]; then
            say "not in time: $what" >&2
            cat "$RUN/last" >&2
            return 1
        fi
        sleep 0.2
    done
}

own_rules() {
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$E2E/testdata/own-rbac" | kubectl apply -f - >/dev/null 2>&1
}

provisioner=
prometheus=
stop() { # PID
    [ -n "$1" ] || return 0
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}
finish() {
    local code=$?
    trap - EXIT INT TERM
    stop "$prometheus"
    "$WORLD_SH" nfs start >/dev/null 2>&1 || true
    own_rules || true
    kubectl -n default delete pvc --wait=false -l e2e=monitoring >/dev/null 2>&1 || true
    within 30 "volumes of the test are gone" no_volumes || code=1
    stop "$provisioner"
    kubectl delete storageclass --ignore-not-found monitoring >/dev/null 2>&1 || true
    [ $code = 0 ] && rm -rf "$RUN"
    exit $code
}
no_volumes() {
    [ -n "$provisioner" ] || return 0
    local classes
    classes=$(kubectl get pv -o jsonpath='{.items[*].spec.storageClassName}') || return 1
    [[ " $classes " != *" monitoring "* ]]
}

start_provisioner() {
    env KUBECONFIG="$OWN_RBAC_KUBECONFIG" POD_NAMESPACE="$OWN_RBAC_NAMESPACE" PROVISIONER_NAME=$PROVISIONER \
        NFS_SERVER="$NFS_SERVER" NFS_PATH="$NFS_PATH" METRICS_ADDR="${PAGE:7:-8}" LOG_FORMAT=json \
        "$E2E_BINARY" 2>>"$RUN/provisioner.log" >&2 &
    provisioner=$!
}

claim() { # NAME
    kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $1, namespace: default, labels: {e2e: monitoring}}
spec:
  storageClassName: monitoring
  accessModes: [ReadWriteMany]
  resources: {requests: {storage: 1Mi}}
YAML
}
bound() { [ "$(kubectl -n default get pvc "$1" -o jsonpath='{.status.phase}')" = Bound ]; }

# Whether a query has an answer now, at least one that is a number.
has_data() { promtool query instant "$PROMETHEUS" "$1" | grep '=>' | grep -qv '=> NaN'; }
firing() { has_data "$(alert "$1")"; }
# A question that got no answer is not the answer "none".
quiet() {
    local answer
    answer=$(promtool query instant "$PROMETHEUS" "$(alert "$1")") || return 1
    [ -z "$answer" ]
}
alert() { echo "ALERTS{alertname=\"NfsProvisioner$1\", alertstate=\"firing\"}"; }
fires() {
    local alert
    for alert; do
        within 30 "$alert fires" firing "$alert"
        say "$alert fired"
    done
}
resolves() {
    local alert
    for alert; do
        within 60 "$alert is over" quiet "$alert"
        say "$alert is over"
    done
}

# --- on paper ---

sed -n '/^spec:/,$p' "$MONITORING/rules.yaml" | sed '1d; s/^  //' >"$RUN/rules.yml"
cp "$E2E/monitoring/rules.test.yaml" "$RUN/"
promtool check rules "$RUN/rules.yml"
promtool test rules "$RUN/rules.test.yaml"
kubectl kustomize "$MONITORING" >/dev/null

# --- for real ---

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What takes a quarter of an hour in life takes seconds here; the expressions are the same.
sed -Ei 's/for: .*/for: 2s/; s/\[1[05]m\]/[15s]/; s/> 300$/> 3/' "$RUN/rules.yml"
cat >"$RUN/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$RUN/rules.yml]
scrape_configs:
  - job_name: nfs-client-provisioner
    static_configs: [{targets: ["${PAGE:7:-8}"]}]
YAML
promtool check config "$RUN/prometheus.yml" >/dev/null
prometheus --config.file="$RUN/prometheus.yml" --storage.tsdb.path="$RUN/tsdb" --web.listen-address="${PROMETHEUS:7}" \
    --log.level=warn 2>"$RUN/prometheus.log" &
prometheus=$!

start_provisioner
kubectl apply -f - >/dev/null <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: monitoring}
provisioner: $PROVISIONER
parameters: {archiveOnDelete: "false"}
YAML
within 20 "the target is up" has_data 'up == 1'
claim first
claim leaves-early
within 20 "a claim is bound" bound first
within 20 "another claim is bound" bound leaves-early
kubectl -n default delete pvc leaves-early >/dev/null
within 20 "a volume is deleted" has_data 'controller_persistentvolume_delete_total > 0'
say "the target is up, a volume was made and one deleted"

within 10 "the room on the share is known" has_data nfs_provisioner_share_size_bytes
curl -fsS "$PAGE" >"$RUN/page"
promtool check metrics <"$RUN/page"
curl -fsS -H 'Accept: application/openmetrics-text; version=1.0.0' "$PAGE" | tail -1 | grep -qx '# EOF'
# The table in docs/metrics.md is what is served, no more and no less. What has not happened yet is there too.
# shellcheck disable=SC2016
diff <(sed -n 's/^# TYPE \([^ ]*\) \([^ ]*\)$/\1 \2/p' "$RUN/page" | sort) \
    <(sed -n 's/^| `\([^`]*\)` | \([^ ]*\) |.*/\1 \2/p' "$E2E/../docs/metrics.md" | sort)
say "the page is what docs/metrics.md says"

claim goes
within 20 "a claim is bound" bound goes
"$WORLD_SH" nfs stop
kubectl -n default delete pvc goes >/dev/null
claim waits
fires ShareDown ClaimsWaiting ProvisioningFails DeletionFails RemovalStuck
"$WORLD_SH" nfs start
within 20 "the claim that waited is bound" bound waits
resolves ShareDown ClaimsWaiting ProvisioningFails DeletionFails RemovalStuck

stop "$provisioner"
fires NoLeader
start_provisioner
resolves NoLeader

kubectl delete clusterrolebinding own-run-nfs-client-provisioner >/dev/null
claim forbidden
fires Forbidden
own_rules
within 60 "the claim that was forbidden is bound" bound forbidden
resolves Forbidden

without=0
asked=0
while IFS= read -r query; do
    asked=$((asked + 1))
    if ! has_data "$query"; then
        say "no data for: $query" >&2
        without=1
    fi
done < <(python3 - "$MONITORING/dashboard.json" <<'PY'
import json, sys
for panel in json.load(open(sys.argv[1]))["panels"]:
    for target in panel.get("targets", []):
        print(target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*"))
PY
)
[ $without = 0 ]
[ $asked -gt 40 ]
say "all $asked queries of the dashboard have data"
