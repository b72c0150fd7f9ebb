#!/usr/bin/env bash
# The browser program's types and units.
set -eu
cd "$(dirname "$0")/../../web-program"
npm run --silent check
npm run --silent test
