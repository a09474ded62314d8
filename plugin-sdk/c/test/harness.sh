#!/bin/sh
# Plugins of each kind, tested by lantern_test.h: sh test/harness.sh FOLDER-FOR-WHAT-IS-BUILT
#
# What it says of tests that fail is as it stands in test/failing*.txt.
set -eu
cd "$(dirname "$0")/.."
out="$1"
build() { cc -std=c11 -Wall -Wextra -Werror -I. -o "$out/$1" "test/$1.c" lantern_test.c -lsqlite3; }

for test in projection process aggregate upcaster; do
    build "$test"
    "$out/$test"
done
for test in failing failing_decisions; do
    build "$test"
    if "$out/$test" >"$out/$test.txt"; then
        echo "test/$test.c has passed"
        exit 1
    fi
    diff "test/$test.txt" "$out/$test.txt"
done
