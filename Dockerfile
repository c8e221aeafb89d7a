# One static binary and the CA certificates: no shell, no libraries.
#
#   docker build -t nfs-subdir-external-provisioner .            (or podman, or buildah; `make image` takes what there is)
#   docker buildx build --platform linux/amd64,linux/arm64 -t HOST/NAME:TAG --push .
#
# RUST_IMAGE: Debian 12 or newer with Rust 1.95 or newer and gcc. Its glibc is linked in; since 2.34 that resolves names
# without loading anything at run time. Compiling for the other architecture is cross-compiling, not emulation.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=scratch

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
ARG TARGETARCH
ARG AUDITABLE=0.7.7
ENV CARGO_HOME=/cache/cargo CARGO_TARGET_DIR=/cache/target CARGO_TERM_COLOR=never
WORKDIR /src
COPY . .

# /cache holds crates and what they compiled to from build to build. Cargo tells by their times whether our own sources
# have changed since, and a copy's times say nothing: hence the sum, and touch.
# cargo auditable writes the list of all crates into the binary, where scanners find it.
# setcap: src/process/privilege.rs says what for.
RUN --mount=type=cache,id=nfs-subdir-external-provisioner,target=/cache,sharing=locked set -eu; \
    native=$(dpkg --print-architecture); arch=${TARGETARCH:-$native}; \
    case $arch in \
      amd64) cpu=x86_64 gcc=gcc-x86-64-linux-gnu libc=libc6-dev-amd64-cross ;; \
      arm64) cpu=aarch64 gcc=gcc-aarch64-linux-gnu libc=libc6-dev-arm64-cross ;; \
      *) echo "no recipe for $arch: amd64 or arm64" >&2; exit 1 ;; \
    esac; \
    target=$cpu-unknown-linux-gnu; \
    if [ "$arch" != "$native" ]; then \
      apt-get update; apt-get install -y --no-install-recommends $gcc $libc; rustup target add $target; \
      export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc; \
    fi; \
    tools=/cache/tools-$native-$AUDITABLE; \
    [ -x $tools/bin/cargo-auditable ] || \
      CARGO_TARGET_DIR=/tmp/tools cargo install --quiet --locked --profile dev --root $tools cargo-auditable@$AUDITABLE; \
    sum=$(find src crates Cargo.toml -type f -exec sha256sum {} + | sort | sha256sum); built=/cache/built-$target; \
    if [ "$sum" = "$(cat $built 2>/dev/null)" ]; then changed=@0; else changed=now; fi; \
    find src crates -type f -exec touch --date=$changed {} +; \
    PATH=$tools/bin:$PATH RUSTFLAGS='-C target-feature=+crt-static' \
      cargo auditable build --release --locked --target $target --bin nfs-subdir-external-provisioner; \
    echo "$sum" >$built; \
    install -D -t /out $CARGO_TARGET_DIR/$target/release/nfs-subdir-external-provisioner; \
    command -v setcap || { apt-get update; apt-get install -y --no-install-recommends libcap2-bin; }; \
    setcap cap_net_bind_service=p /out/nfs-subdir-external-provisioner; \
    install -D -m 644 -t /out/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nfs-subdir-external-provisioner" \
      org.opencontainers.image.description="A sub-directory of an NFS share for each Kubernetes claim, over NFSv3, without mounts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/nfs-subdir-external-provisioner"]
