#!/usr/bin/env bash
# A world for the tests: a real control plane and real NFS servers, on this machine alone. See README.md.
#
#   world.sh up | down | status | env
#   world.sh SERVICE start | stop | kill | freeze | thaw | pid     SERVICE: etcd apiserver kcm scheduler rpcbind nfs knfsd
#                                                                          node dns
#   world.sh nfs|knfsd block [SECONDS] | unblock
#   world.sh knfsd|node up | down | exec COMMAND        world.sh node import IMAGE.tar
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BASE=${E2E_BASE_PORT:-16400}
RUN=${E2E_WORLD:-/tmp/nfs-subdir-e2e-$BASE}

# What `up` was told holds for later verbs: tests need to know the run directory only.
E2E_APISERVER_ARGS=${E2E_APISERVER_ARGS:-}
E2E_KCM_ARGS=${E2E_KCM_ARGS:-}
E2E_KCM_QPS=${E2E_KCM_QPS:-20000}
E2E_NFS_CALLS=${E2E_NFS_CALLS:-0}
E2E_NODE=${E2E_NODE:-0}
E2E_KNFSD_EXPORT=${E2E_KNFSD_EXPORT:-rw,sync,no_root_squash,no_subtree_check}
E2E_KNFSD_CLIENTS=${E2E_KNFSD_CLIENTS:-}
E2E_KNFSD_WRITE_DELAY_US=${E2E_KNFSD_WRITE_DELAY_US:-0}
if [ "${1:-}" != up ] && [ -r "$RUN/params" ]; then
    # shellcheck source=/dev/null
    source "$RUN/params"
fi

# What keeps the addresses and devices of two worlds apart.
NET=$((BASE / 10 % 256))

# shellcheck source=lib/service.sh
source "$E2E/lib/service.sh"
# shellcheck source=lib/uml.sh
source "$E2E/lib/uml.sh"
# shellcheck source=lib/controlplane.sh
source "$E2E/lib/controlplane.sh"
# shellcheck source=lib/nfs.sh
source "$E2E/lib/nfs.sh"
# shellcheck source=lib/knfsd.sh
source "$E2E/lib/knfsd.sh"
# shellcheck source=lib/node.sh
source "$E2E/lib/node.sh"

SERVICES="etcd apiserver kcm scheduler rpcbind nfs knfsd node dns"

need() {
    local missing=
    for program; do
        command -v "$program" >/dev/null || missing="$missing $program"
    done
    [ -z "$missing" ] || fail "not installed:$missing (the packages are named in e2e/README.md)"
}

save_params() {
    {
        for name in BASE BIN ADMIN_TOKEN E2E_APISERVER_ARGS E2E_KCM_ARGS E2E_KCM_QPS E2E_NFS_CALLS E2E_NODE \
            E2E_KNFSD_CLIENTS E2E_KNFSD_EXPORT E2E_KNFSD_WRITE_DELAY_US; do
            printf '%s=%q\n' "$name" "${!name}"
        done
    } >"$RUN/params"
    chmod 600 "$RUN/params"
}

write_env() {
    cat >"$RUN/world.env" <<ENV
ADMIN_KUBECONFIG=$RUN/admin.kubeconfig
GO_RBAC_KUBECONFIG=$RUN/go-rbac.kubeconfig
GO_RBAC_NAMESPACE=default
OWN_RBAC_KUBECONFIG=$RUN/own-rbac.kubeconfig
OWN_RBAC_NAMESPACE=own-rbac
KUBECTL=$BIN/kubectl
APISERVER=$APISERVER
AUDIT_LOG=$RUN/audit.log
NFS_SERVER=$NFS_HOST
NFS_SERVER6=$NFS_HOST6
NFS_SERVER6_LINK=$NFS_HOST6_LINK%$LINK
NFS_PATH=$RUN/share
NFS_LOG=$RUN/ganesha.log
NFS_PORT=2049
MOUNT_PORT=20048
SHARE_DIR=$RUN/share
NFS_PATH_SECOND=$RUN/second
NFS_PATH_SQUASH=$RUN/squash
NFS_PATH_OPEN=$RUN/open
WORLD_SH=$E2E/world.sh
ENV
}

up() {
    need curl ganesha.nfsd ip nft nsenter openssl rpcbind rpcinfo setsid unshare
    [ "$(id -u)" = 0 ] || fail "network namespaces and ports below 1024 need root"
    clear_what_was_killed
    mkdir -p "$RUN"
    rm -f "$RUN"/*.log
    trap 'trap - EXIT; down' EXIT
    controlplane_up
    save_params
    nfs_up
    write_env
    trap - EXIT
    echo "world: up in $SECONDS s; $RUN/world.env"
}

# What stands here may be a world, or what is left of one whose machine or processes were killed.
clear_what_was_killed() {
    local name leftover=("$RUN"/*.pid)
    for name in $SERVICES; do
        service_gone "$name" || fail "a world is up in $RUN: world.sh down first"
    done
    [ -z "$(ip netns pids "$NETNS" 2>/dev/null)" ] || fail "another world uses the base $BASE: its processes are in $NETNS"
    if [ -e "$RUN/params" ] || [ -e "/run/netns/$NETNS" ] || [ -e "${leftover[0]}" ]; then
        echo "world: clearing what is left of one that was killed" >&2
        down
    fi
    [ ! -e "/sys/class/net/$LINK" ] || fail "another world, or what is left of one, has the link $LINK: take another base"
}

# Logs stay for whoever wants to know why; what holds state does not.
down() {
    node_down
    knfsd_down
    nfs_down
    controlplane_down
    bridge_down
    rm -rf "$RUN/params" "$RUN/world.env" "$RUN"/{share,second,squash,open}
}

status() {
    local pid
    for name in $SERVICES; do
        if pid=$(service_pid "$name"); then
            echo "$name $pid $(awk '/^State/ { print $3 }' "/proc/$pid/status")"
        else
            echo "$name - (down)"
        fi
    done
}

service_verb() { # SERVICE VERB [ARGUMENT]
    case $1:$2 in
    *:start) "$1_start" ;;
    knfsd:stop | knfsd:kill | knfsd:up | knfsd:down | node:stop | node:kill | node:up | node:down) "$1_$2" ;;
    knfsd:exec | node:exec | node:import) "$1_$2" "${@:3}" ;;
    # It waits for its watchers, who have no reason to go.
    apiserver:stop) service_stop "$1" 3 ;;
    *:stop) service_stop "$1" ;;
    *:kill) service_kill "$1" ;;
    *:freeze) service_signal "$1" STOP ;;
    *:thaw) service_signal "$1" CONT ;;
    *:pid) service_pid "$1" ;;
    nfs:block | nfs:unblock | knfsd:block | knfsd:unblock) "$1_$2" "${@:3}" ;;
    *) fail "$1 has no verb $2" ;;
    esac
}

case ${1:-} in
up | down | status) "$1" ;;
env) cat "$RUN/world.env" ;;
etcd | apiserver | kcm | scheduler | rpcbind | nfs | knfsd | node | dns)
    [ $# -ge 2 ] || fail "$1: which verb?"
    [ -r "$RUN/params" ] || fail "no world at $RUN"
    service_verb "$@"
    ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
