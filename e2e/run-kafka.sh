#!/usr/bin/env bash
# Kafka on a real node: control plane and scheduler, Linux's NFS server, a node with the real kubelet and containerd in
# user-mode Linux, our image as the provisioner's pod, and the manifests that ship; the quick start is followed by its own
# commands. Ends with the form of line that Rust's test runner ends with.
#
#   run-kafka.sh            E2E_KEEP=1 leaves it all up and says how to use it and how to take it down
set -euo pipefail

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
IMAGE=nfs-subdir-external-provisioner:0.1.0
# Where the quick start says HOST: a name that nothing answers to. The image is there already.
HOST=registry.invalid

# shellcheck source=lib/base.sh
source "$E2E/lib/base.sh"
choose_base 18800
RUN=$E2E_WORLD
# The repository's files as a user has them who follows the quick start, to be edited.
TREE=$RUN/tree

# shellcheck source=node/report.sh
source "$E2E/node/report.sh"
# shellcheck source=node/provisioner.sh
source "$E2E/node/provisioner.sh"
# shellcheck source=node/quickstart.sh
source "$E2E/node/quickstart.sh"
# shellcheck source=node/kafka.sh
source "$E2E/node/kafka.sh"

world() { "$E2E/world.sh" "$@"; }
kubectl() { "$KUBECTL" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

finish() {
    local code=$?
    trap - EXIT INT TERM
    if [ $code -ne 0 ]; then
        look_around >"$RUN/last-look.log" 2>&1 || true
        echo "e2e-kafka: failed ($code); logs are in $RUN, the cluster's last state in last-look.log"
    fi
    if [ "${E2E_KEEP:-0}" = 0 ]; then
        keep_logs
        world down || code=1
        rm -rf "$TREE" "${RUN:?}/bin" "$RUN/provisioner.tar"
    else
        echo "left up: kubectl --kubeconfig $RUN/admin.kubeconfig ...; E2E_WORLD=$RUN $E2E/world.sh down"
    fi
    closing_line $code
    exit $code
}

look_around() {
    kubectl get nodes,pods,pvc,pv,events -A -o wide
    kubectl describe pods -A
    world node exec 'free -m; ps aux --sort=-rss | head -n 20'
}

keep_logs() { cp "$RUN"/node/*.log "$RUN/" 2>/dev/null || true; }

cluster_up() {
    # The export as the quick start writes it.
    E2E_NODE=1 E2E_KNFSD_CLIENTS='*' E2E_KNFSD_EXPORT=rw,sync,no_root_squash world up
    world knfsd up
    world node up
}

lay_out() {
    mkdir -p "$TREE"
    cp -r "$E2E/../manifests" "$E2E/../docs" "$E2E/../README.md" "$TREE/"
}

mkdir -p "$RUN/steps"
: >"$RUN/steps/all"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "node's parts are built" "$E2E/node/build.sh"
step "cluster up, node ready" cluster_up
# shellcheck source=/dev/null
source "$RUN/world.env"
lay_out
step "our image built, and on the node" bring_image

step "manifests/base: the pod is ready in a restricted namespace" base_ready
step "a claim is bound, a pod writes into it" base_serves
step "the claim deleted, its directory is gone" base_removes
step "what it uses when idle" idle_memory
step "taken away" base_goes
step "README: installed by its own commands, a claim bound" readme_as_told
step "taken away" readme_goes

step "the Go Deployment, unchanged but for the image: ready" drop_in_ready
step "its /persistentvolumes is mounted by the kubelet" drop_in_volume
step "a claim is bound, a pod writes into it" base_serves
step "the claim deleted, its directory is gone" base_removes
step "archiveOnDelete left out: the directory is archived" drop_in_archives
step "WaitForFirstConsumer: a directory once the scheduler has chosen the pod's node" drop_in_waits_for_a_consumer
step "as root, the user of the Go one's image: ready" drop_in_as_root
step "a claim is bound, a pod writes into it" base_serves
step "the claim deleted, its directory is gone" base_removes
step "nothing that it asked for was forbidden" drop_in_keeps_to_its_rules
step "taken away" drop_in_goes

step "quick start 1: a node sees the export" node_sees_export
step "quick start 2: the provisioner" provisioner_as_told
step "quick start 3: a claim" claim_as_told
step "quick start 4: three brokers" brokers_up
step "each broker has its directory" broker_directories
step "quick start 5: by hand" by_hand
step "quick start 5: the smoke Job" smoke
step "a broker's pod is deleted and comes back with its directory" broker_returns
step "a producer at work, each record acknowledged by all replicas" producer_starts
step "the NFS server is killed under it, and started again" server_killed
step "scaled to 0 and back" scaled_to_nothing_and_back
step "each acknowledged record is there" nothing_is_lost
step "the class is made anew with archiveOnDelete \"true\"" class_archives
step "quick start 6: taken away, and the directories archived with the claims" taken_away
