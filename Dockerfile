# The command line and the page of `styletransfer serve`; docs/containers.md shows how to run it.
#
#   docker build -t styletransfer .
#   docker build -t styletransfer:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .

FROM python:3.13-slim AS build

# Where PyTorch comes from: builds for the processor alone are a tenth of the size of those for GPUs. It has a
# layer of its own, so that a changed source does not install it anew.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/styletransfer && \
    /opt/styletransfer/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision
COPY pyproject.toml README.md LICENSE /source/
COPY styletransfer /source/styletransfer
COPY weights /source/weights
RUN /opt/styletransfer/bin/pip install --no-cache-dir "/source[ui,heif]" && \
    /opt/styletransfer/bin/pip uninstall --yes pip

FROM python:3.13-slim

RUN useradd --create-home --uid 1000 styletransfer && install -d -o styletransfer /pictures
COPY --from=build /opt/styletransfer /opt/styletransfer
ENV PATH=/opt/styletransfer/bin:$PATH
USER styletransfer
WORKDIR /pictures
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=3)"
ENTRYPOINT ["styletransfer"]
CMD ["serve", "--host", "0.0.0.0"]
