#!/usr/bin/env bash
# Brings a world up, runs something in it, takes it down whatever happens.
#
#   run.sh scenarios [FILTER and other arguments of the test binary]
#   run.sh bench     [arguments of the benchmarks]
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$E2E/.."

what=${1:-}
case $what in
scenarios)
    # What the share was asked for is evidence there; it would cost a benchmark some of its speed.
    export E2E_NFS_CALLS=1
    shift
    ;;
bench) shift ;;
*)
    echo "run.sh: scenarios or bench?" >&2
    exit 2
    ;;
esac

# Beside a world that somebody left up or is using: the first base whose run directory is free.
if [ -z "${E2E_BASE_PORT:-}" ]; then
    E2E_BASE_PORT=16400
    while [ -e "/tmp/nfs-subdir-e2e-$E2E_BASE_PORT/params" ]; do
        E2E_BASE_PORT=$((E2E_BASE_PORT + 100))
    done
fi
export E2E_BASE_PORT
export E2E_WORLD=${E2E_WORLD:-/tmp/nfs-subdir-e2e-$E2E_BASE_PORT}

stage() {
    echo "== $1 took $((SECONDS - since)) s"
    since=$SECONDS
}
since=$SECONDS

"$E2E/controlplane/build.sh" >/dev/null
[ "$what" = bench ] || "$E2E/helm/build.sh" >/dev/null
stage "control plane's binaries, helm"
cargo build --release --locked --bin nfs-subdir-external-provisioner
E2E_BINARY=$(cargo metadata --format-version 1 --no-deps --locked |
    sed -E 's/.*"target_directory":"([^"]*)".*/\1/')/release/nfs-subdir-external-provisioner
export E2E_BINARY
stage "release binary"

log=$(mktemp)
finish() {
    local code=$?
    trap - EXIT INT TERM
    "$E2E/world.sh" down || code=1
    stage "world down"
    if [ $code -ne 0 ]; then
        echo "e2e: failed ($code); the world's logs are in $E2E_WORLD"
    fi
    # Said last, so that a long log ends with what counts.
    sed -n "s/^test result:/$what: &/p" "$log"
    rm -f "$log"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$E2E/world.sh" up
stage "world up"
if [ "${E2E_KNFSD:-1}" != 0 ]; then
    "$E2E/world.sh" knfsd up
    stage "knfsd up"
fi
if [ "$what" = scenarios ]; then
    "$E2E/manifests.sh"
    stage "manifests"
    "$E2E/monitoring.sh"
    stage "monitoring"
    "$E2E/chart.sh"
    stage "chart"
    if [ "${E2E_IMAGE:-1}" != 0 ]; then
        "$E2E/image.sh"
        stage "image"
    fi
fi
case $what in
scenarios) cargo test --locked --test scenarios -- "$@" 2>&1 | tee "$log" ;;
bench) cargo run --release --locked --package benchmarks -- "$@" 2>&1 | tee "$log" ;;
esac
stage "$what"
