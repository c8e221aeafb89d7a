#!/usr/bin/env bash
# Makes the control plane's binaries available and prints the folder that holds them.
#
#   build.sh [NAME...]      default: etcd kube-apiserver kube-controller-manager kubectl
#                           also: kube-scheduler kubelet kube-proxy
#
# A binary found in $KUBEBUILDER_ASSETS is linked, not built. The others are built from the versions
# that go.mod pins, once, into
#   ${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e/k8s-VERSION_etcd-VERSION/
# Progress goes to stderr; stdout is the folder alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

pinned() { # MODULE -> its version in go.mod's require block
    awk -v m="$1" '$1 == m && $2 ~ /^v/ { print $2; exit }' go.mod
}

k8s=$(pinned k8s.io/kubernetes)
etcd=$(pinned go.etcd.io/etcd/server/v3)
out="${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e/k8s-${k8s}_etcd-${etcd}"

# With other assets than the pinned ones the folder is another, so that neither shadows the other.
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    out="$out-assets-$(printf %s "$KUBEBUILDER_ASSETS" | cksum | cut -d' ' -f1)"
fi
mkdir -p "$out"
echo "$out"

if [ $# -eq 0 ]; then
    set -- etcd kube-apiserver kube-controller-manager kubectl
fi

# Two worlds may come up at once; the second waits and finds the first one's work.
exec 9>"$out/.lock"
flock 9

minor=${k8s#v1.}
minor=${minor%%.*}
version="-X k8s.io/component-base/version.gitVersion=$k8s -X k8s.io/component-base/version.gitMajor=1"
version="$version -X k8s.io/component-base/version.gitMinor=$minor"

for name; do
    case $name in
    etcd) package=go.etcd.io/etcd/server/v3 flags="-s -w" ;;
    kube-apiserver | kube-controller-manager | kube-scheduler | kubelet | kube-proxy | kubectl)
        package=k8s.io/kubernetes/cmd/$name flags="-s -w $version" ;;
    *)
        echo "build.sh: no recipe for $name" >&2
        exit 2
        ;;
    esac
    [ -x "$out/$name" ] && continue
    if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
        ln -sfn "$KUBEBUILDER_ASSETS/$name" "$out/$name"
        continue
    fi
    command -v go >/dev/null || {
        echo "build.sh: $name must be built, and there is no go in PATH" >&2
        exit 1
    }
    echo "build.sh: building $name" >&2
    started=$SECONDS
    # Under another name first: an interrupted build must not look like a finished one.
    CGO_ENABLED=0 go build -trimpath -mod=readonly -ldflags "$flags" -o "$out/.$name.new" "$package" >&2
    mv "$out/.$name.new" "$out/$name"
    echo "build.sh: built $name in $((SECONDS - started)) s" >&2
done
