# The images: one static program in an empty root, run by a user without a name. Certificate roots are in the programs.
#   docker build --target operator .       `make image` makes the same from these stages without a container engine.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN mkdir /out && cd "$(scripts/static release)" && cp chaperone chaperone-operator chaperone-sidecar /out/

FROM scratch AS base
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.version=$VERSION
LABEL org.opencontainers.image.revision=$REVISION
LABEL org.opencontainers.image.licenses=Apache-2.0
COPY LICENSE /LICENSE
# In numbers: `runAsNonRoot` cannot judge a name.
USER 65532:65532

FROM base AS operator
LABEL org.opencontainers.image.title=chaperone-operator
COPY --from=build /out/chaperone-operator /chaperone-operator
ENTRYPOINT ["/chaperone-operator"]

FROM base AS sidecar
LABEL org.opencontainers.image.title=chaperone-sidecar
COPY --from=build /out/chaperone-sidecar /chaperone-sidecar
ENTRYPOINT ["/chaperone-sidecar"]

FROM base AS cli
LABEL org.opencontainers.image.title=chaperone
COPY --from=build /out/chaperone /chaperone
ENTRYPOINT ["/chaperone"]
