# The server over stdin and stdout. What to mount, and why: docs/clients.md, "A container".
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY comet_mcp comet_mcp
RUN python -m venv /app && /app/bin/pip install --no-cache-dir .

FROM python:3.13-slim
LABEL org.opencontainers.image.source="https://github.com/cometapi-mcp/cometapi-mcp" \
      org.opencontainers.image.licenses="MIT" \
      io.modelcontextprotocol.server.name="io.github.cometapi-mcp/cometapi-mcp"
ARG UID=1000
# a named volume that is mounted over a folder takes that folder's owner
RUN useradd --create-home --uid "$UID" cometapi \
    && install -d -m 0700 -o cometapi -g cometapi \
       /home/cometapi/.config /home/cometapi/.config/cometapi \
       /home/cometapi/.local /home/cometapi/.local/state /home/cometapi/.local/state/cometapi-mcp
COPY --from=build /app /app
USER $UID
WORKDIR /home/cometapi
ENV PATH="/app/bin:$PATH"
VOLUME ["/home/cometapi/.config/cometapi", "/home/cometapi/.local/state/cometapi-mcp"]
ENTRYPOINT ["cometapi-mcp"]
