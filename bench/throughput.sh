#!/bin/sh
# throughput.sh: messages a second and CPU per message of SpamCatcher, of
# Postfix, and of Postfix with rspamd as milter, as relays on loopback that take
# turns, with the same message of 5 KB; writes the table to THROUGHPUT.md.
#
#   make throughput                  about ten minutes on two processors
#   THROUGHPUT_N=500 make throughput shorter
#
# Needs root, and what setup.sh of the harness installs. The harness stands in
# the folder that SPAMCATCHER_SHARED names.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
shared=${SPAMCATCHER_SHARED:-$root/../shared}
bench=$shared/measure/smtp/smtp_bench.py
if [ ! -e "$bench" ]; then
  echo "throughput.sh: there is no harness in $shared (SPAMCATCHER_SHARED names the folder)" >&2
  exit 1
fi
n=${THROUGHPUT_N:-2000}
rounds=${THROUGHPUT_ROUNDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Content only, as the peers here: nobody asks DNS.
echo 'netcheck = false' >"$work/spamcatcher.toml"
cat >"$work/spamcatcher" <<END
#!/bin/sh
command=\$1
shift
exec "$root/bin/spamcatcher" "\$command" --config "$work/spamcatcher.toml" "\$@"
END
chmod +x "$work/spamcatcher"
SPAMCATCHER=$work/spamcatcher
export SPAMCATCHER
"$shared/measure/setup.sh" >"$work/setup.log" 2>&1 || { cat "$work/setup.log" >&2; exit 1; }
rm -rf "${SC_PEERS_STATE:-/var/lib/sc-peers}/smtp-spamcatcher" # a queue of its own for each run
python3 "$bench" --targets postfix,postfix-rspamd,spamcatcher --sessions 10,50 --n "$n" --rounds "$rounds" \
  --message "$shared/measure/smtp/message-5k.eml" --out "$work/result.json" | tee "$work/output"
{
  echo "# Throughput beside Postfix"
  echo
  echo "SMTP in, scored (SpamCatcher and rspamd), durably queued, SMTP out: smtp-source, the relay, smtp-sink on one machine with"
  echo "$(nproc) processors, $n messages of 5 KB a run, $rounds runs that take turns. CPU is that of the relay's processes alone. Written by"
  echo "\`make throughput\` from $("$root/bin/spamcatcher" version) on $(date +%F)."
  echo
  grep '^|' "$work/output"
} >"$here/THROUGHPUT.md"
