#!/usr/bin/env bash
# Sets up what is missing, builds with assertions on, and runs every test.
#
#   bash tests/run.sh                    all tests
#   BLK_EFFORT=20 bash tests/run.sh      the same, with twenty times as many seeds and random cases
#   bash tests/run.sh -class '*Qcow2*'   only some: the arguments go to each test program
#
# The interop tests need Debian's qemu-utils. As root with apt it is installed; otherwise those tests are reported as skipped, by name.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v qemu-img qemu-io >/dev/null 2>&1 || ! command -v qemu-storage-daemon >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing qemu-utils for the interop tests"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-utils qemu-system-common >/dev/null
  else
    echo "qemu-utils is not installed: the interop tests will be skipped"
  fi
fi

dotnet build BlockLayer.sln --nologo -v quiet -clp:ErrorsOnly

BLK_REPORT=$(mktemp)
export BLK_REPORT
passed=0 failed=0 skipped=0 status=0
for suite in BlockLayer.Tests BlockLayer.Libvirt.Tests BlockLayer.Simulation.Tests BlockLayer.Fuzz.Tests BlockLayer.Interop.Tests; do
  echo
  echo "== $suite"
  log=$(mktemp)
  "tests/$suite/bin/Debug/net10.0/$suite" -noLogo -noColor "$@" 2>&1 | tee "$log" || status=1
  summary=$(grep -E 'Total: [0-9]+, Errors: [0-9]+' "$log" | tail -n 1 || true)
  rm -f "$log"
  number() { sed -nE "s/.*$1: ([0-9]+).*/\1/p" <<<"$summary"; }
  total=$(number Total) errors=$(number Errors) fails=$(number Failed) skips=$(number Skipped)
  failed=$((failed + ${errors:-1} + ${fails:-0}))
  skipped=$((skipped + ${skips:-0}))
  passed=$((passed + ${total:-0} - ${fails:-0} - ${skips:-0}))
done

if [ -s "$BLK_REPORT" ]; then
  echo
  echo "== Explored: states after a power failure, and mutated images"
  sort "$BLK_REPORT"
fi
rm -f "$BLK_REPORT"

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$status" = 0 ] && [ "$failed" = 0 ]
