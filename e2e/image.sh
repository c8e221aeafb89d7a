#!/usr/bin/env bash
# The image: built by `make image` from the Dockerfile, with buildah; looked at; and run by runc in a world (E2E_WORLD),
# once as confined as in manifests/base and, with the Go provisioner's rules, as in the Go project's Deployment, by its own user and
# by root, each until a claim is bound. E2E_ARM64=1: then the same for arm64, cross-compiled, and run by qemu.
#
#   image.sh          all of it
#   image.sh build    only builds, so that all of it finds compiled what it needs; asks no world
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$E2E/.."
MOST_BYTES=15000000
NAME=nfs-subdir-external-provisioner

# shellcheck source=lib/arm64.sh
source "$E2E/lib/arm64.sh"
oci_scratch
running=
leave() {
    [ -z "$running" ] || stop_container || true
    oci_leave
}
trap leave EXIT

say() { echo "-- $*"; }
fail() {
    echo "image: $*" >&2
    exit 1
}
await() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt "$end" ] || fail "no $what in time"
        sleep 0.1
    done
}

# === What is in it ===

expect() { # WHAT WANTED FOUND
    [ "$2" = "$3" ] || fail "$1 is '$3', not '$2'"
}

open_image() { # NAME:TAG [arguments of buildah from]
    container=$(buildah from --pull-never "${@:2}" "localhost/$1")
    rootfs=$(buildah mount "$container")
    binary=$rootfs/$NAME
}

machine() { readelf -h "$1" | sed -n 's/^ *Machine: *//p'; }

inspect() { # ARCHITECTURE MACHINE, as an image's configuration and readelf name it
    local bytes section
    expect architecture "$1" "$(buildah inspect --format '{{.OCIv1.Architecture}}' "$container")"
    expect machine "$2" "$(machine "$binary")"
    bytes=$(find "$rootfs" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
    say "$bytes bytes, of which the binary $(stat -c %s "$binary"), compressed $(tar -C "$rootfs" -cz . | wc -c)"
    [ "$bytes" -lt $MOST_BYTES ] || fail "more than $MOST_BYTES bytes"
    expect files "etc/ssl/certs/ca-certificates.crt $NAME" \
        "$(find "$rootfs" ! -type d -printf '%P\n' | sort | paste -sd' ')"
    expect "what the binary needs at run time" "" "$(readelf -d "$binary" | sed -n 's/.*(NEEDED)//p')"
    expect "its interpreter" "" "$(readelf -l "$binary" | sed -n 's/.*interpreter://p')"
    expect "its file capability" "$NAME cap_net_bind_service=p" "$(cd "$rootfs" && getcap "$NAME")"
    expect user 65532:65532 "$(buildah inspect --format '{{.OCIv1.Config.User}}' "$container")"
    expect entrypoint "[/$NAME]" "$(buildah inspect --format '{{.OCIv1.Config.Entrypoint}}' "$container")"
    expect title "$NAME" \
        "$(buildah inspect --format '{{index .OCIv1.Config.Labels "org.opencontainers.image.title"}}' "$container")"
    expect revision "$(git rev-parse HEAD)" \
        "$(buildah inspect --format '{{index .OCIv1.Config.Labels "org.opencontainers.image.revision"}}' "$container")"

    # What auditing tools read; its place in the file, since objcopy knows only its own machine's.
    section=$(readelf -SW "$binary" | sed -n 's/^.* \.dep-v0 *[A-Z]* *[0-9a-f]* \([0-9a-f]* [0-9a-f]*\) .*/\1/p')
    # shellcheck disable=SC2086
    python3 - "$binary" $section <<'PYTHON'
import json, sys, zlib
offset, size = (int(word, 16) for word in sys.argv[2:])
packed = open(sys.argv[1], "rb").read()[offset:offset + size]
crates = json.loads(zlib.decompress(packed))["packages"]
names = {crate["name"] for crate in crates}
assert {"kube", "nfs-export", "rustls", "tokio"} <= names, names
print(f"-- lists the {len(crates)} crates it was made of")
PYTHON
}

# === Running ===

bundle() { # POD UID [arguments of bundle.py]...
    python3 "$E2E/lib/bundle.py" "$1" "$rootfs" "${@:2}" >"$scratch/config.json"
}

runc_run() { runc --root "$scratch/runc" run --bundle "$scratch" "$1"; }

version() {
    bundle confined 65532 "${emulator[@]}" "/$NAME" --version
    expect version "$NAME $(sed -n 's/^ARG VERSION=//p' Dockerfile)" "$(runc_run version)"
}

start_container() { # NAME
    running=$1
    runc_run "$running" >"$scratch/$running.log" 2>&1 </dev/null &
    waited=$!
}

stop_container() {
    runc --root "$scratch/runc" kill "$running" TERM
    running=
    wait "$waited"
}

removed() {
    local claims
    claims=$(kubectl get pv -o jsonpath='{.items[*].spec.claimRef.name}') || return 1
    [[ " $claims " != *" image-$1 "* ]]
}
bound() { [ "$(kubectl get pvc "image-$1" -o jsonpath='{.status.phase}')" = Bound ]; }

serves() { # NAME POD UID SHARE KUBECONFIG NAMESPACE
    local pod=$1 address=127.0.0.1:$((E2E_BASE + 60)) since
    # The binary is linked against a libc that must find names without any library or file beside these.
    printf '127.0.0.1 localhost\n%s nfs.e2e\n' "$NFS_SERVER" >"$scratch/hosts"
    install -m 644 "$5" "$scratch/kubeconfig"
    bundle "$2" "$3" -v "$scratch/hosts:/etc/hosts" -v "$scratch/kubeconfig:/kubeconfig" \
        -e KUBECONFIG=/kubeconfig -e POD_NAMESPACE="$6" -e METRICS_ADDR="$address" \
        -e PROVISIONER_NAME=e2e/image -e NFS_SERVER=nfs.e2e -e NFS_PATH="$4" "${emulator[@]}" "/$NAME"
    since=$(date +%s%3N)
    start_container "$pod"
    await 30 readiness curl -fs "http://$address/readyz"
    say "$pod: ready after $(($(date +%s%3N) - since)) ms, $(memory "$address") KiB${emulated:+ (not known under an emulator)}"
    kubectl apply -f - >/dev/null <<OBJECTS
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: image-$pod }
provisioner: e2e/image
parameters: { archiveOnDelete: "false" }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: image-$pod }
spec:
  storageClassName: image-$pod
  accessModes: [ReadWriteMany]
  resources: { requests: { storage: 1Mi } }
OBJECTS
    await 30 "bound claim" bound "$pod"
    kubectl delete pvc "image-$pod" >/dev/null
    await 30 "removed volume" removed "$pod"
    kubectl delete storageclass "image-$pod" >/dev/null
    stop_container || { cat "$scratch/$pod.log" >&2; fail "$pod: ended with $?"; }
}

memory() { # ADDRESS -> resident KiB, by its own account, as are its open files
    curl -fs "http://$1/metrics" >"$scratch/metrics"
    grep -q '^process_open_fds ' "$scratch/metrics" || fail "the process cannot see its own files"
    awk '$1 == "process_resident_memory_bytes" { printf "%d", $2 / 1024 }' "$scratch/metrics"
}

say build
image_build "$NAME:e2e"
[ "${1:-}" != build ] || exit 0
open_image "$NAME:e2e"
inspect "$(dpkg --print-architecture)" "$(machine /proc/self/exe)"
emulated="" emulator=(--)
version

# shellcheck source=/dev/null
source "$E2E_WORLD/world.env"
E2E_BASE=${APISERVER##*:}
kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }
# In this namespace a port below 1024 is out of reach for the confined one (its manifest opens them in the pod's own), and
# must be within reach for the other, whose share takes no others.
serves confined confined 65532 "$NFS_PATH_OPEN" "$OWN_RBAC_KUBECONFIG" "$OWN_RBAC_NAMESPACE"
serves drop-in drop-in 65532 "$NFS_PATH" "$GO_RBAC_KUBECONFIG" "$GO_RBAC_NAMESPACE"
serves as-root drop-in 0 "$NFS_PATH" "$GO_RBAC_KUBECONFIG" "$GO_RBAC_NAMESPACE"

if [ "${E2E_ARM64:-0}" != 0 ]; then
    say "build for arm64"
    image_build_arm64 "$NAME:e2e-arm64"
    open_image "$NAME:e2e-arm64" --platform linux/arm64
    inspect arm64 AArch64
    emulated=yes emulator=(-v "$(command -v qemu-aarch64-static):/qemu" -- /qemu)
    version
    serves arm64 confined 65532 "$NFS_PATH_OPEN" "$OWN_RBAC_KUBECONFIG" "$OWN_RBAC_NAMESPACE"
fi
say passed
