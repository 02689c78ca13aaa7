# An image of nothing but onemore: one static program that runs as nobody in particular. For servers of your own, take the program
# into their image: COPY --from=onemore /usr/local/bin/onemore /usr/local/bin/
FROM golang:1.26 AS build
ARG VERSION=
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build VERSION="$VERSION" \
 && install -D -m 0755 bin/onemore /root-fs/usr/local/bin/onemore \
 && install -D -m 0644 LICENSE /root-fs/usr/share/doc/onemore/copyright \
 && install -d -m 1777 /root-fs/tmp \
 && install -d -m 0700 /user-fs/home/onemore

FROM scratch
COPY --from=build /root-fs/ /
COPY --from=build --chown=65532:65532 /user-fs/ /
ENV HOME=/home/onemore
WORKDIR /home/onemore
USER 65532:65532
HEALTHCHECK --interval=10s --start-period=60s CMD ["onemore", "status", "--exit-code", "-q"]
ENTRYPOINT ["onemore"]
CMD ["up", "3", "--foreground"]
