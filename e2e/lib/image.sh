# shellcheck shell=bash
# The image, built by `make image` from the Dockerfile, with buildah and no registry. In the place of the Rust image stands
# one that is empty but for links into this machine's own /usr and Rust toolchain, which are mounted for the build: Debian's
# gcc and libc, as in the real one. What was compiled is kept under ${XDG_CACHE_HOME:-~/.cache} from run to run.

# shellcheck source=oci.sh
source "$E2E/lib/oci.sh"

IMAGE_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e

rust_stand_in() {
    local root=$scratch/rust
    mkdir -p "$root"/{etc/ssl,opt/rust,var/lib/dpkg}
    cp -a /etc/alternatives /etc/group /etc/passwd "$root/etc/"
    cp -a /etc/ssl/certs "$root/etc/ssl/"
    stand_in "$root" /opt/rust/bin
}

stand_in() { # FOLDER PATH, searched first
    local link container
    mkdir -p "$1"/{dev,proc,sys,tmp,usr}
    for link in bin lib lib64 sbin; do ln -s "usr/$link" "$1/$link"; done
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$1" / >/dev/null
    buildah config --env "PATH=$2:/usr/bin:/bin:/usr/sbin:/sbin" "$container"
    buildah commit --quiet "$container" rust-stand-in >/dev/null
    buildah rm "$container" >/dev/null
}

image_build() { # NAME:TAG ; after oci_scratch
    rust_stand_in
    image_make "$1" --volume /usr:/usr:ro --volume "$(rustc --print sysroot):/opt/rust:ro"
}

image_make() { # NAME:TAG [arguments of buildah]...
    local cache
    cache=$IMAGE_CACHE/image-$(rustc --version | cut -d' ' -f2)
    mkdir -p "$cache"
    # buildah keeps the Dockerfile's cache below TMPDIR.
    TMPDIR=$cache make --no-print-directory --directory "$E2E/.." image IMAGE_TOOL="${E2E_IMAGE_TOOL:-buildah}" IMAGE="$1" IMAGE_ARGS="\
        --quiet --layers=false --pull-never --build-arg RUST_IMAGE=localhost/rust-stand-in ${*:2}" >"$scratch/build.log" 2>&1 ||
        { cat "$scratch/build.log" >&2; echo "image: the build failed" >&2; return 1; }
}
