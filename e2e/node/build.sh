#!/usr/bin/env bash
# Makes what a node needs besides Debian's packages available, and prints the folder that holds it: kubelet, kube-proxy,
# coredns, kustomize for who follows the quick start, and images/ with the images that no registry is asked for: pause,
# busybox and Kafka (kafka/build.sh).
# What is built is kept under ${XDG_CACHE_HOME:-~/.cache}, by the versions it was made from. Progress goes to stderr.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e
out=$cache/node-$(cat "$here"/build.sh "$here"/pause.c "$here"/coredns/{go.mod,main.go} "$here"/kustomize/go.mod | cksum | cut -d' ' -f1)
mkdir -p "$out/images"
echo "$out"

exec 9>"$out/.lock"
flock 9

say() { echo "build.sh: $*" >&2; }

controlplane=$("$here/../controlplane/build.sh" kubelet kube-proxy kube-scheduler)
ln -sfn "$controlplane/kubelet" "$controlplane/kube-proxy" "$out/"

go_build() { # NAME PACKAGE : by the folder NAME's go.mod; under another name first, lest an interrupted build look finished
    local started=$SECONDS
    [ ! -x "$out/$1" ] || return 0
    (cd "$here/$1" && CGO_ENABLED=0 go build -trimpath -mod=readonly -ldflags '-s -w' -o "$out/.$1.new" "$2" >&2)
    mv "$out/.$1.new" "$out/$1"
    say "built $1 in $((SECONDS - started)) s"
}
go_build coredns .
go_build kustomize sigs.k8s.io/kustomize/kustomize/v5

# shellcheck source=../lib/oci.sh
source "$here/../lib/oci.sh"

pause_image() {
    mkdir "$scratch/root"
    gcc -static -Os -Wall -o "$scratch/root/pause" "$here/pause.c"
    oci_from_folder "$scratch/root" e2e/pause:1 "$out/images/pause.tar" --entrypoint '["/pause"]'
}

busybox_image() {
    oci_busybox "$scratch/root"
    oci_from_folder "$scratch/root" busybox:stable "$out/images/busybox.tar" --cmd sh
}

for image in pause busybox; do
    [ -e "$out/images/$image.tar" ] && continue
    oci_scratch
    "${image}_image"
    oci_leave
    say "built the image $image"
done
ln -sfn "$("$here/kafka/build.sh")" "$out/images/kafka.tar"
