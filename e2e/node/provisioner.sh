# shellcheck shell=bash
# Our image as a pod of each kind that ships, on the node: it serves claims, pods write, what is deleted goes.

# The image as a cluster finds it in a registry: under its own name, and under a host's.
bring_image() {
    # shellcheck source=../lib/image.sh
    source "$E2E/lib/image.sh"
    oci_scratch
    image_build "$IMAGE"
    oci_save "$IMAGE" "$RUN/provisioner.tar"
    world node import "$RUN/provisioner.tar"
    world node exec "ctr -n k8s.io image tag docker.io/library/$IMAGE $HOST/$IMAGE"
}

# === manifests/base ===

base_manifests() { # where manifests/README.md says what to set
    sed -i "s/10\.3\.243\.101/$KNFSD_SERVER/; s#/ifs/kubernetes#$KNFSD_PATH#" "$TREE/manifests/base/deployment.yaml"
    mkdir -p "$TREE/restricted"
    cat >"$TREE/restricted/kustomization.yaml" <<'END'
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: nfs
resources: [namespace.yaml, ../manifests]
END
    cat >"$TREE/restricted/namespace.yaml" <<'END'
apiVersion: v1
kind: Namespace
metadata:
  name: nfs
  labels: { pod-security.kubernetes.io/enforce: restricted }
END
}

base_ready() {
    base_manifests
    kubectl apply -k "$TREE/restricted"
    kubectl -n nfs rollout status deployment nfs-client-provisioner --timeout 120s
    note "ready $(pod_seconds nfs) s after its creation"
}

# From the object's creation to the Ready condition, which the API server gives in whole seconds.
pod_seconds() { # NAMESPACE
    kubectl -n "$1" get pod -l app=nfs-client-provisioner -o json | python3 -c '
import datetime, json, sys
pod = json.load(sys.stdin)["items"][0]
ready = [c for c in pod["status"]["conditions"] if c["type"] == "Ready"][0]
parse = lambda t: datetime.datetime.fromisoformat(t.replace("Z", "+00:00"))
print(int((parse(ready["lastTransitionTime"]) - parse(pod["metadata"]["creationTimestamp"])).total_seconds()))'
}

provisioner_pid() { world node exec "pgrep -x nfs-subdir-exte"; }

# The last claim is gone, and there is nothing to do but to watch.
idle_memory() {
    local pid
    pid=$(provisioner_pid)
    note "$(world node exec "awk '/^VmRSS/ { print \$2 }' /proc/$pid/status") KiB resident"
}

base_serves() {
    kubectl apply -f "$TREE/manifests/examples"
    await 60 "bound claim" claim_is default test-claim Bound
    await 60 "pod that has written" pod_is default test-pod Succeeded
    world knfsd exec "cat $KNFSD_PATH/default-test-claim-pvc-*/SUCCESS" | grep '^written by test-pod$'
}

base_removes() {
    kubectl delete -f "$TREE/manifests/examples"
    await 60 "removal of the directory" share_is_empty
}

# The pod first: without its rules it could not give its lock back, and the next one would wait 15 s for it.
base_goes() {
    kubectl -n nfs delete deployment nfs-client-provisioner --cascade=foreground
    kubectl delete -k "$TREE/restricted" --ignore-not-found
    kubectl delete --ignore-not-found storageclass nfs-client
}

# === manifests/drop-in ===

drop_in_ready() {
    sed -i "s/10\.3\.243\.101/$KNFSD_SERVER/; s#/ifs/kubernetes#$KNFSD_PATH#" "$TREE/manifests/drop-in/deployment.yaml"
    kubectl apply -k "$TREE/manifests/drop-in"
    kubectl rollout status deployment nfs-client-provisioner --timeout 120s
    note "ready $(pod_seconds default) s after its creation"
}

# The volume that the Go provisioner needs and ours does not: mounted by the kubelet, and no hindrance.
drop_in_volume() {
    local mount
    mount=$(world node exec "grep ' /persistentvolumes ' /proc/$(provisioner_pid)/mountinfo")
    grep -q " - nfs4\? $KNFSD_SERVER:$KNFSD_PATH " <<<"$mount"
    note "$(grep -o ' vers=[0-9.]*\|,vers=[0-9.]*' <<<"$mount" | tr -d ' ,')"
}

# The Go one's rules: what they forbid is not asked for.
drop_in_keeps_to_its_rules() {
    local account='"username":"system:serviceaccount:default:nfs-client-provisioner"'
    grep -F "$account" "$AUDIT_LOG" >"$RUN/requests"
    note "$(wc -l <"$RUN/requests") requests"
    ! grep '"code":403' "$RUN/requests" || return 1
}

drop_in_archives() {
    kubectl apply -f - <<'END'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: nfs-archive }
provisioner: k8s-sigs.io/nfs-subdir-external-provisioner
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: archived }
spec:
  storageClassName: nfs-archive
  accessModes: [ReadWriteMany]
  resources: { requests: { storage: 1Mi } }
END
    await 60 "bound claim" claim_is default archived Bound
    world knfsd exec "echo kept >\$(echo $KNFSD_PATH/default-archived-pvc-*)/file"
    kubectl delete pvc archived
    kubectl delete storageclass nfs-archive
    await 60 "archive" world knfsd exec "grep -q kept $KNFSD_PATH/archived-default-archived-pvc-*/file"
    world knfsd exec "rm -r $KNFSD_PATH/archived-*"
}

# Nothing is made for the claim until there is a pod and the scheduler has chosen its node.
drop_in_waits_for_a_consumer() {
    kubectl apply -f - <<'END'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: nfs-late }
provisioner: k8s-sigs.io/nfs-subdir-external-provisioner
volumeBindingMode: WaitForFirstConsumer
parameters: { archiveOnDelete: "false" }
END
    sed 's/storageClassName: nfs-client/storageClassName: nfs-late/' "$TREE/manifests/examples/claim.yaml" | kubectl apply -f -
    await 60 "binder's word that it waits" waits_for_a_consumer default test-claim
    share_is_empty
    kubectl apply -f "$TREE/manifests/examples/pod.yaml"
    await 60 "pod that has written" pod_is default test-pod Succeeded
    [ "$(claim_annotation default test-claim 'volume\.kubernetes\.io/selected-node')" = "$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')" ]
    world knfsd exec "cat $KNFSD_PATH/default-test-claim-pvc-*/SUCCESS" | grep '^written by test-pod$'
    base_removes
    kubectl delete storageclass nfs-late
}

waits_for_a_consumer() {
    kubectl -n "$1" get events --field-selector "involvedObject.name=$2,reason=WaitForFirstConsumer" -o name | grep -q .
}

claim_annotation() { kubectl -n "$1" get pvc "$2" -o jsonpath="{.metadata.annotations.$3}"; }

# The Go one's image names no user, so that its pod is root's where the Deployment names none either.
drop_in_as_root() {
    kubectl patch deployment nfs-client-provisioner --patch '{"spec":{"template":{"spec":{"securityContext":{"runAsUser":0}}}}}'
    kubectl rollout status deployment nfs-client-provisioner --timeout 120s
    world node exec "grep ^Uid: /proc/$(provisioner_pid)/status" | grep -P '^Uid:\t0\t0\t0\t0$'
}

drop_in_goes() {
    kubectl delete deployment nfs-client-provisioner --cascade=foreground
    kubectl delete -k "$TREE/manifests/drop-in" --ignore-not-found
}

# === What is seen ===

claim_is() { [ "$(kubectl -n "$1" get pvc "$2" -o jsonpath='{.status.phase}')" = "$3" ]; }
pod_is() { [ "$(kubectl -n "$1" get pod "$2" -o jsonpath='{.status.phase}')" = "$3" ]; }

# But for the folder of ours where what is being removed waits.
share_is_empty() {
    local there
    there=$(world knfsd exec "ls $KNFSD_PATH") || return 1
    [ -z "$there" ]
}
