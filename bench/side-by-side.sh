#!/usr/bin/env bash
# Runs BlockLayer and Debian's qemu-utils side by side on this machine and prints ratios.
#
#   bash bench/side-by-side.sh                every row (several minutes)
#   bash bench/side-by-side.sh --quick        the same rows with less work each
#   bash bench/side-by-side.sh --only convert rows whose name contains "convert"
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v qemu-img >/dev/null 2>&1 || ! command -v qemu-storage-daemon >/dev/null 2>&1 || [ ! -x /usr/bin/time ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-utils qemu-system-common time >/dev/null
  else
    echo "qemu-utils is needed, which the measurements are compared with, and GNU time, which counts memory" >&2
    exit 1
  fi
fi
dotnet build bench/BlockLayer.Benchmarks -c Release --nologo -v quiet -clp:ErrorsOnly
# Compiled ahead of time together with the framework, as a release is: whole processes are measured, and compiling at run time is no part of the work.
dotnet publish src/BlockLayer.Cli -c Release -r linux-x64 -o bench/BlockLayer.Benchmarks/bin/blk --nologo -v quiet -clp:ErrorsOnly
exec bench/BlockLayer.Benchmarks/bin/Release/net10.0/BlockLayer.Benchmarks side-by-side "$@"
