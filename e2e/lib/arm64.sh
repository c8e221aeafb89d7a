# shellcheck shell=bash
# The image for arm64, by the Dockerfile's own cross-compilation. A Rust image brings the other architecture's standard
# library by rustup; here Debian's archive does, whose suite `testing` has the same Rust for both architectures. So the
# stand-in's /usr is a small system of that suite, unpacked once and kept.

# shellcheck source=image.sh
source "$E2E/lib/image.sh"

# What `rustup target add` is to find, it finds, or the build ends there.
stand_in_rustup() {
    cat <<'END'
#!/bin/sh
[ "$1 $2" = "target add" ] && ls "/usr/lib/rustlib/$3/lib"/libstd-*.rlib
END
}

cross_root() { # -> its folder, named after the version of Rust
    local kept=("$IMAGE_CACHE"/cross-arm64-rust-*/usr) root=$IMAGE_CACHE/cross-arm64.$$ versions
    if [ -e "${kept[0]}" ]; then
        dirname "${kept[-1]}"
        return
    fi
    # A mirror may stand still; its signature is checked all the same.
    mmdebstrap --quiet --mode=root --variant=apt --architectures=amd64,arm64 \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=ca-certificates,cargo,gcc,gcc-aarch64-linux-gnu,libc6-dev,libc6-dev-arm64-cross,libcap2-bin,rustc \
        --include=libstd-rust-dev:amd64,libstd-rust-dev:arm64 \
        testing "$root" http://deb.debian.org/debian >&2 || { rm -rf "$root"; return 1; }
    # shellcheck disable=SC2016
    versions=$(dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat '${Version}\n' \
        rustc libstd-rust-dev:amd64 libstd-rust-dev:arm64 | sort -u)
    if [ -z "$versions" ] || [ "$(wc -l <<<"$versions")" != 1 ]; then
        echo "image: Rust and its libraries are of different versions:" "$versions" >&2
        rm -rf "$root"
        return 1
    fi
    stand_in_rustup >"$root/usr/local/bin/rustup"
    chmod 755 "$root/usr/local/bin/rustup"
    rm -rf --one-file-system "${root:?}"/{boot,dev,home,media,mnt,opt,proc,root,run,srv,sys,tmp}
    mv "$root" "$IMAGE_CACHE/cross-arm64-rust-$versions"
    echo "$IMAGE_CACHE/cross-arm64-rust-$versions"
}

image_build_arm64() { # NAME:TAG ; after oci_scratch
    local cross root=$scratch/cross
    cross=$(cross_root)
    mkdir -p "$root/var/lib" "$root"/var/{cache/apt/archives,lib/apt/lists}/partial "$root/var/log"
    cp -a "$cross/etc" "$root/"
    cp -a "$cross/var/lib/dpkg" "$root/var/lib/"
    # All that the Dockerfile installs is there: apt-get asks nobody, and says so.
    : >"$root/etc/apt/sources.list"
    stand_in "$root" /usr/local/bin
    # BUILDPLATFORM: buildah 1.28 does not set it by itself.
    image_make "$1" --platform linux/arm64 --build-arg "BUILDPLATFORM=linux/$(dpkg --print-architecture)" \
        --volume "$cross/usr:/usr:ro"
}
