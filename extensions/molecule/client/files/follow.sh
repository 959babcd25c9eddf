#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run what changes an address of this machine, `follow.sh NAME TYPE WANTED COMMAND…`, and print the milliseconds until the name
# server `ddns` answers with the one that is wanted; the status is not 0 when that has not happened within 200 seconds. It is
# asked often for three seconds, and then once a second.
set -euo pipefail
name=$1 rtype=$2 wanted=$3
shift 3
now() { date +%s%3N; }
begin=$(now)
for change in "$@"; do
  # shellcheck disable=SC2086
  $change >/dev/null
done
until [ "$(dig +short +tries=1 +time=1 @ddns "$name" "$rtype")" = "$wanted" ]; do
  passed=$(($(now) - begin))
  [ $passed -lt 200000 ] || exit 1
  if [ $passed -lt 3000 ]; then sleep 0.1; else sleep 1; fi
done
echo $(($(now) - begin))
