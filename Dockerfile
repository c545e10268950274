# Two images: `services` (ingest, processor, PostHog stand-in, commands) and `web`. Sources belong to root and are not
# writable by who runs them; what is written lies in /data. tests/containers/dockerfile.int.test.ts runs these very
# steps without Docker, so it understands the instructions used here and no others.

FROM denoland/deno:2.9.6@sha256:2014dc167ece617ef7e7ba40631ac2234c59e75ce693e7cc2dc2602b3c87859d AS deno
WORKDIR /app

FROM deno AS dependencies
COPY package.json deno.json deno.lock ./
RUN deno install --frozen

# Fresh itself from JSR where it can be had, else the same app on fresh-npm: the rule of `deno task web`, so that a build
# behind a proxy gives a page as well. The last line printed, and the page, say which. FRESH=jsr fails rather than falls
# back, FRESH=npm asks nobody.
FROM dependencies AS web-build
COPY runtime ./runtime
COPY contract ./contract
COPY fresh-npm ./fresh-npm
COPY serve_web ./serve_web
COPY web ./web
ARG FRESH=
RUN deno eval "\
    const { readWebConfig } = await import('./serve_web/config.ts'); \
    const { buildWeb } = await import('./serve_web/build.ts'); \
    const { words } = await buildWeb(readWebConfig(Deno.env.toObject()).fresh); \
    console.log('web: ' + words);"
# All that serving takes from npm.
RUN mkdir served && cp -rL node_modules/hono served/hono

# The server of `deno task web`, with its bounds on connections, around what was built. web/ comes whole, with what its build
# may have left outside the bundle.
FROM deno AS web
COPY --from=web-build /app/web ./web
COPY --from=web-build /app/served ./node_modules
COPY runtime ./runtime
COPY contract ./contract
COPY serve_web ./serve_web
WORKDIR /app/web
RUN deno cache _fresh/server.js
WORKDIR /app
USER 1993:1993
# Of OpenTelemetry, see docs/tracing.md: Deno's own span of a request holds its whole address, so web sends none.
ENV HOST=127.0.0.1 WEB_PORT=8000 OTEL_TRACES_SAMPLER=always_off OTEL_PROPAGATORS=none OTEL_DENO_CONSOLE=ignore OTEL_EXPORTER_OTLP_TIMEOUT=2000
EXPOSE 8000
# No subprocess, no native library, nothing written, and nothing read but the app. web's own deno.json says where the app's
# imports lie, as it did when the app was built.
ENTRYPOINT ["deno", "run", "--no-prompt", "--config=web/deno.json", "--allow-env", "--allow-net", "--allow-read=/app/web"]
CMD ["serve_web/serve.ts"]

FROM deno AS services
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json deno.json deno.lock ./
COPY runtime ./runtime
COPY contract ./contract
COPY topic ./topic
COPY ingest ./ingest
COPY processor ./processor
COPY tools ./tools
COPY demo ./demo
# A named volume that is mounted here first takes over this owner.
RUN install -d -o 1993 -g 1993 /data
USER 1993:1993
ENV DATA_DIR=/data OTEL_DENO_CONSOLE=ignore OTEL_EXPORTER_OTLP_TIMEOUT=2000
VOLUME /data
# No subprocess, no native library: the rights of `deno task processor`. --allow-write has no path, because the dataset is
# reached by a link and Deno makes links for nobody with less; the user and the read-only file system say what can be
# written. --allow-sys: statfs tells whether /data lies on a network file system; the rest is what the AWS SDK asks, where
# DATASET_URL is set: whose ~/.aws it may read, and the system that it names to the server.
ENTRYPOINT ["deno", "run", "--no-prompt", "--node-modules-dir=manual", "--allow-env", "--allow-net", "--allow-read", "--allow-write", "--allow-sys=statfs,uid,homedir,osRelease"]
CMD ["ingest/main.ts"]
