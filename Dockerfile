# syntax=docker/dockerfile:1
# Dependencies in one stage, what runs in the other. The image's own Node is used as it is, so the
# optional packages that bring a Node along are left out.
FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:26-slim
LABEL org.opencontainers.image.title="Mibo OTLP gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
# What every command reads, the health check too: point it at a file of your own.
ENV MIBO_CONFIG=/app/config/gateway.yaml
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY bin ./bin
COPY proto ./proto
COPY config ./config
COPY src ./src
# Runs on a read-only root file system. Relative paths start at /, so keys live in /data/keys.db.
RUN mkdir /data && chown 65532:65532 /data && ln -s /app/bin/mibo-gateway.js /usr/local/bin/mibo-gateway
VOLUME /data
WORKDIR /
USER 65532:65532
EXPOSE 4317 4318 8888 13133
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["mibo-gateway", "health"]
ENTRYPOINT ["mibo-gateway"]
CMD ["start"]
