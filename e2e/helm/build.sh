#!/usr/bin/env bash
# Makes helm available and prints its path. Built from the version that go.mod pins, once, into
#   ${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e/helm-VERSION/
# Progress goes to stderr.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

pinned() { # MODULE -> its version in go.mod's require blocks
    awk -v m="$1" '$1 == m && $2 ~ /^v/ { print $2; exit }' go.mod
}

helm=$(pinned helm.sh/helm/v3)
k8s=$(pinned k8s.io/client-go)
minor=${k8s#v0.}
minor=${minor%%.*}
out="${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e/helm-$helm"
mkdir -p "$out"
echo "$out/helm"

exec 9>"$out/.lock"
flock 9
[ -x "$out/helm" ] && exit
command -v go >/dev/null || {
    echo "build.sh: helm must be built, and there is no go in PATH" >&2
    exit 1
}
echo "build.sh: building helm" >&2
started=$SECONDS
# The Kubernetes that `helm template` and `helm lint` suppose when they ask no cluster.
flags="-s -w -X helm.sh/helm/v3/internal/version.version=$helm"
for package in pkg/lint/rules pkg/chartutil; do
    flags="$flags -X helm.sh/helm/v3/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/$package.k8sVersionMinor=$minor"
done
# Under another name first: an interrupted build must not look like a finished one.
CGO_ENABLED=0 go build -trimpath -mod=readonly -ldflags "$flags" -o "$out/.helm.new" helm.sh/helm/v3/cmd/helm >&2
mv "$out/.helm.new" "$out/helm"
echo "build.sh: built helm in $((SECONDS - started)) s" >&2
