#!/bin/sh
# peers.sh: trains and measures SpamCatcher beside rspamd, SpamAssassin and
# bogofilter on the same labelled mail, and writes the tables to PEERS.md.
#
#   make peers                   everything, about half an hour on two processors
#   PEERS_TRAINED=1 make peers   keeps what the peers learned in an earlier run
#   PEERS_SKIP=1 make peers      runs nothing, writes the tables of the last run
#
# Needs root, and what setup.sh of the harness installs. The harness and the
# labelled mail stand in the folder that SPAMCATCHER_SHARED names.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
shared=${SPAMCATCHER_SHARED:-$root/../shared}
work=${PEERS_WORK:-/tmp/spamcatcher-peers}
measure=$shared/measure/measure.py
if [ ! -e "$measure" ]; then
  echo "peers.sh: there is no harness in $shared (SPAMCATCHER_SHARED names the folder)" >&2
  exit 1
fi
SPAMCATCHER=$root/bin/spamcatcher
SC_PEERS_STATE=/var/lib/sc-peers
export SPAMCATCHER SC_PEERS_STATE
mkdir -p "$work" "$SC_PEERS_STATE"

bayes=$SC_PEERS_STATE/spamd/bayes # SpamAssassin's configuration names this place
kept=$SC_PEERS_STATE/spamd/bayes.kept

# What an interrupted run put aside.
[ ! -d "$kept" ] || { rm -rf "$bayes"; mv "$kept" "$bayes"; }

if [ -z "${PEERS_SKIP:-}" ]; then
  "$shared/measure/setup.sh" >"$work/setup.log" 2>&1 || { cat "$work/setup.log" >&2; exit 1; }
  for name in dev-train dev-valid; do # the label lists with absolute paths
    sed "s|^\([a-z]*\) |\1 $shared/corpus/boundary/|" "$shared/corpus/$name.txt" >"$work/$name.txt"
  done

  # Trained on dev-train, each in its own way.
  if [ -z "${PEERS_TRAINED:-}" ]; then
    python3 "$measure" train --fresh --peers rspamd,spamd,bogofilter --labels "$work/dev-train.txt" --out "$work/train"
  fi
  if [ -z "${PEERS_ONLY_TRAIN:-}" ]; then
    python3 "$measure" train --fresh --peers spamcatcher --labels "$work/dev-train.txt" --out "$work/train"
    grep -q '"rc": 0' "$work/train/spamcatcher.train.json" || { echo "peers.sh: our own training failed" >&2; exit 1; }
    rm -rf "$work/valid" "$work/cold"
    python3 "$measure" score --peers spamcatcher,rspamd,spamd-compiled,bogofilter --labels "$work/dev-valid.txt" --out "$work/valid"
    python3 "$measure" report --out "$work/valid" --base spamcatcher --md "$work/valid.md"

    # A first day: nothing learned at the site.
    python3 "$measure" startup --peers spamcatcher,rspamd,spamd-compiled,bogofilter --n 3 >"$work/startup.txt"
    rm -rf "$work/empty"
    mkdir -p "$work/empty"
    mv "$bayes" "$kept"
    trap 'rm -rf "$bayes"; mv "$kept" "$bayes"' EXIT
    SC_PEERS_STATE=$work/empty python3 "$measure" score --peers spamcatcher,rspamd,spamd-compiled --labels "$work/dev-valid.txt" --out "$work/cold" \
      --limit "spamd-compiled=${PEERS_COLD:-500}"
    python3 "$measure" report --out "$work/cold" --base spamcatcher --md "$work/cold.md"
    trap - EXIT
    rm -rf "$bayes"
    mv "$kept" "$bayes"
  fi
fi
[ -z "${PEERS_ONLY_TRAIN:-}" ] || exit 0

{
  cat <<END
# SpamCatcher beside its peers

Written by \`make peers\`: the same messages in the same shuffled order for all, on the same machine, in blocks of 10 that take turns;
content only (DNS off). CPU is user + system time of all processes of a peer; PSS counts shared memory once. Accuracy is on mail that
none of them was trained on, but of the same sources and years as what they learned from: expect all to do worse elsewhere.

- date $(date -u +%Y-%m-%d), commit $(git -C "$root" rev-parse --short HEAD)$(git -C "$root" diff --quiet HEAD 2>/dev/null || echo ' with changes'), $($SPAMCATCHER version 2>/dev/null | head -n 1)
- machine: $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(awk '/MemTotal/ {printf "%.0f GB", $2/1048576}' /proc/meminfo), $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r | cut -d- -f1)
- peers: $(chroot /opt/sc-peers/trixie rspamd --version 2>/dev/null | head -n 1), SpamAssassin $(spamassassin --version 2>/dev/null | sed -n 's/^SpamAssassin version //p') with compiled rules, $(bogofilter -V 2>/dev/null | head -n 1)
- mail: the development corpus; trained on $(wc -l <"$work/dev-train.txt") messages of dev-train, scored $(wc -l <"$work/dev-valid.txt") of dev-valid

## Trained on dev-train, scored on dev-valid

END
  sed "s|labels $work/|labels |" "$work/valid.md"
  cat <<END

## The first day: nothing learned at the site

Ours with the rules and the model in the binary; SpamAssassin and rspamd with their rules, without Bayes (neither ships a model). Part of
dev-train is in our model, none of dev-valid is.

END
  sed "s|labels $work/|labels |" "$work/cold.md"
  cat <<END

## Start to the first score

END
  sed 's/^/    /' "$work/startup.txt"
  cat <<END

## Commands

    make peers          # setup.sh, then:
    measure.py train --fresh --peers rspamd,spamd,bogofilter,spamcatcher --labels dev-train.txt
    measure.py score --peers spamcatcher,rspamd,spamd-compiled,bogofilter --labels dev-valid.txt
    measure.py report --base spamcatcher

    # the first day: an empty state directory, no train
    measure.py score --peers spamcatcher,rspamd,spamd-compiled --labels dev-valid.txt
END
} >"$here/PEERS.md"
echo "written: $here/PEERS.md"
