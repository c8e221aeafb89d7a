#!/usr/bin/env bash
# Brings a world up, runs something in it, takes it down whatever happens.
#
#   run.sh scenarios [FILTER and other arguments of the test binary]
#   run.sh bench     [arguments of the benchmarks]
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$E2E/.."
# shellcheck source=lib/base.sh
source "$E2E/lib/base.sh"

what=${1:-}
case $what in
scenarios)
    # What the share was asked for is evidence there; it would cost a benchmark some of its speed.
    export E2E_NFS_CALLS=1
    shift
    ;;
bench)
    shift
    export E2E_SHARE_IN_MEMORY=1
    ;;
*)
    echo "run.sh: scenarios or bench?" >&2
    exit 2
    ;;
esac

under_way=
stage() { # NAME COMMAND...
    under_way=$1
    since=$SECONDS
    shift
    "$@"
    echo "== $under_way took $((SECONDS - since)) s"
}

tools() {
    "$E2E/controlplane/build.sh" >/dev/null
    [ "$what" = bench ] || "$E2E/helm/build.sh" >/dev/null
}

# Starts what is needed later, and gives way to all else: what is tested meanwhile is not to run out of time.
begin() { # COMMAND...
    beside_log=$(mktemp)
    {
        renice -n 19 "$BASHPID" >/dev/null
        "$@"
    } >"$beside_log" 2>&1 &
    beside=$!
}

# Waits for that; shows what it said.
end() {
    local code=0
    wait "$beside" || code=$?
    beside=
    cat "$beside_log"
    rm -f "$beside_log"
    return $code
}

release_build() { cargo build --release --locked --bin nfs-subdir-external-provisioner; }

release_binary() {
    if [ -n "$beside" ]; then end; else release_build; fi
    E2E_BINARY=$(cargo metadata --format-version 1 --no-deps --locked |
        sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/release/nfs-subdir-external-provisioner
    export E2E_BINARY
}

# The tests' own API server is held to what the real one does: the same tests, on both. They say nothing of where they ran,
# but the real one kept an account of the namespaces that they made there.
conformance() {
    # shellcheck source=/dev/null
    source "$E2E_WORLD/world.env"
    KUBECONFIG_REAL=$ADMIN_KUBECONFIG cargo test --locked --workspace --test api_conformance 2>&1 | tee -a "$log"
    grep -q '"requestURI":"/api/v1/namespaces/t-[a-z]\{8\}/persistentvolumeclaims' "$AUDIT_LOG" ||
        { echo "api_conformance never asked the real API server" >&2; return 1; }
    PATH=${KUBECTL%/*}:$PATH REQUIRE_KUBECTL=1 cargo test --locked --workspace --test api_kubectl 2>&1 | tee -a "$log"
}

# What any server must do for the client, on a real one: each verb, and removal, ten thousand levels deep among it.
client() {
    # shellcheck source=/dev/null
    source "$E2E_WORLD/world.env"
    NFS_EXPORT_TEST=$NFS_SERVER:$NFS_PATH:$NFS_PORT: NFS_EXPORT_TEST_DIR=$SHARE_DIR \
        cargo test --locked --package nfs-export --test export -- verbs:: removal:: 2>&1 | tee -a "$log"
}

# Alerts are waited for, and the image's build asks for nothing that is stopped here.
monitoring() {
    [ "${E2E_IMAGE:-1}" = 0 ] || begin "$E2E/image.sh" build
    "$E2E/monitoring.sh"
    [ -z "$beside" ] || end
}

scenarios() { cargo test --locked --test scenarios -- "$@" 2>&1 | tee -a "$log"; }
bench() { cargo run --release --locked --package benchmarks -- "$@" 2>&1 | tee -a "$log"; }

log=$(mktemp)
is_up=
beside=
finish() {
    local code=$?
    trap - EXIT INT TERM
    [ $code = 0 ] || echo "== $under_way FAILED ($code) after $((SECONDS - since)) s"
    [ -z "$beside" ] || end || true
    # `up` clears away after itself when it fails; a world that stood in its way is somebody's.
    if [ -n "$is_up" ]; then
        since=$SECONDS
        "$E2E/world.sh" down || code=1
        echo "== world down took $((SECONDS - since)) s"
    fi
    [ $code = 0 ] || echo "e2e: failed ($code) in stage '$under_way'${is_up:+; its logs are in $E2E_WORLD}"
    # Said last, so that a long log ends with what counts.
    sed -n "s/^test result:/$what: &/p" "$log"
    rm -f "$log"
    exit $code
}

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stage "control plane's binaries, helm" tools
if [ "$what" = scenarios ]; then
    begin release_build
else
    stage "release binary" release_binary
fi
choose_base 16400
stage "world up" "$E2E/world.sh" up
is_up=yes
if [ "${E2E_KNFSD:-1}" != 0 ]; then
    stage "knfsd up" "$E2E/world.sh" knfsd up
fi
if [ "$what" = scenarios ]; then
    stage "the API server's double" conformance
    stage "the client on nfs-ganesha" client
    stage "release binary" release_binary
    stage manifests "$E2E/manifests.sh"
    stage finalizer "$E2E/finalizer.sh"
    stage monitoring monitoring
    stage chart "$E2E/chart.sh"
    if [ "${E2E_IMAGE:-1}" != 0 ]; then
        stage image "$E2E/image.sh"
    fi
fi
stage "$what" "$what" "$@"
