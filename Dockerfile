# The image: the server, the libraries that it needs, and nothing else. No shell.
#
#   docker build -t layerhouse .
#   docker run -d -p 127.0.0.1:5000:5000 -v layerhouse:/var/lib/registry layerhouse
#
# scripts/image makes the same image of a binary that is built already, without pulling anything.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package layerhouse --bin layerhouse \
 && packaging/image/rootfs target/release/layerhouse /image

# From here on scripts/image reads this file, too.
FROM scratch
COPY --from=build /image/root/ /
# Owners are not copied by every builder.
COPY --from=build --chown=65532:65532 /image/owned/ /var/lib/
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="Layerhouse" \
      org.opencontainers.image.description="A container-image registry in one binary" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# Whatever the program is called: `docker exec NAME layerhouse user list` reads what the server reads.
ENV PATH=/bin \
    REGISTRY_CONFIGURATION_PATH=/etc/docker/registry/config.yml
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Here is room for what does not fit into memory, when / can only be read.
WORKDIR /var/lib/registry
VOLUME ["/var/lib/registry"]
EXPOSE 5000
STOPSIGNAL SIGTERM
# As with registry:2: arguments may be a configuration file, or a command and what belongs to it.
ENTRYPOINT ["/bin/registry"]
