#!/usr/bin/env python3
"""signatures.py: start to the first answer, and memory, of SpamCatcher and of
clamd with the same signatures loaded; writes the table to SIGNATURES.md.

    make signatures-peers            about two minutes

Needs clamd (Debian's clamav-daemon); the public YARA rules stand in the folder
that SPAMCATCHER_SHARED names, the hashes are made here, at random. Memory is the
proportional set size, of /proc/PID/smaps_rollup, after ten messages.
"""

import datetime
import os
import random
import shutil
import smtplib
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SHARED = os.environ.get("SPAMCATCHER_SHARED", os.path.join(ROOT, "..", "shared"))
BINARY = os.path.join(ROOT, "bin", "spamcatcher")
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
MESSAGE = "From: a@example.com\r\nTo: b@example.net\r\nSubject: figures\r\n\r\n" + "The figures of May are attached.\r\n" * 100


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pss(pid):
    """Proportional set size of a process in MB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0


class Refused(Exception):
    """A system does not start with a set of signatures."""


def wait(process, ask, patience=300):
    """Asks until there is an answer; seconds since the call."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        if process.poll() is not None:
            raise Refused(f"{os.path.basename(process.args[0])} ends when it loads them")
        try:
            ask()
            return time.monotonic() - began
        except (OSError, smtplib.SMTPException):
            time.sleep(0.005)
    sys.exit(f"{process.args[0]} did not answer")


def spamcatcher(directories, work):
    listen = port()
    config = os.path.join(work, "spamcatcher.toml")
    with open(config, "w") as f:
        names = ", ".join(f'"{d}"' for d in directories)
        f.write(f'netcheck = false\nlisten = ["127.0.0.1:{listen}"]\n[log]\nsyslog = "off"\n[signatures]\ndirectories = [{names}]\n')

    def send(text, refused=False):
        with smtplib.SMTP("127.0.0.1", listen, timeout=30) as s:
            try:
                s.sendmail("a@example.com", ["b@example.net"], text)
            except smtplib.SMTPDataError:
                if not refused:
                    raise
                return
            if refused:
                sys.exit("spamcatcher: EICAR was let through")

    process = subprocess.Popen([BINARY, "run", "--config", config, "--state", os.path.join(work, "state")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        took = wait(process, lambda: send(MESSAGE))
        for _ in range(9):
            send(MESSAGE)
        send(MESSAGE + EICAR + "\r\n", refused=True)
        return took, pss(process.pid)
    finally:
        process.terminate()
        process.wait()


def clamd(directories, work):
    listen = port()
    database = os.path.join(work, "db")
    os.makedirs(database)
    for d in directories:
        for base, _, files in os.walk(d):
            for name in files:
                if name.endswith((".yar", ".yara", ".hdb")):
                    target = os.path.relpath(os.path.join(base, name), d).replace("/", "_")
                    shutil.copy(os.path.join(base, name), os.path.join(database, target))
    with open(os.path.join(database, "eicar.ndb"), "w") as f:
        f.write("Eicar:0:*:" + EICAR.encode().hex() + "\n")
    config = os.path.join(work, "clamd.conf")
    with open(config, "w") as f:
        f.write(f"Foreground yes\nTCPSocket {listen}\nTCPAddr 127.0.0.1\nDatabaseDirectory {database}\nUser root\nLogSyslog no\nConcurrentDatabaseReload no\n")

    def scan(text):
        with socket.create_connection(("127.0.0.1", listen), timeout=60) as s:
            data = text.encode()
            s.sendall(b"zINSTREAM\0" + struct.pack(">I", len(data)) + data + struct.pack(">I", 0))
            answer = s.recv(4096)
        if not answer:
            raise OSError("no answer")
        return answer

    process = subprocess.Popen(["clamd", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        took = wait(process, lambda: scan(MESSAGE))
        for _ in range(9):
            scan(MESSAGE)
        if b"FOUND" not in scan(EICAR):
            sys.exit("clamd: EICAR was let through")
        return took, pss(process.pid)
    finally:
        process.terminate()
        process.wait()


def hashes(directory, count):
    """count random MD5 signatures of files between 1 and 4,000,000 bytes."""
    os.makedirs(directory)
    draw = random.Random(1)
    with open(os.path.join(directory, "random.hdb"), "w") as f:
        for i in range(count):
            f.write(f"{draw.getrandbits(128):032x}:{draw.randrange(1, 4_000_000)}:Test.Random-{i}\n")


def main():
    if not shutil.which("clamd"):
        sys.exit("signatures.py: clamd is not installed (apt-get install clamav-daemon)")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        one = os.path.join(work, "hashes")
        hashes(one, 1_000_000)
        public = os.path.join(SHARED, "suites", "yara")
        sets = [("none but its own", []), ("1,000,000 hashes (.hdb)", [one])]
        if os.path.isdir(public):
            sets += [("ReversingLabs (YARA)", [os.path.join(public, "reversinglabs")]), ("ReversingLabs and signature-base (YARA)", [os.path.join(public, "reversinglabs"), os.path.join(public, "signature-base")])]
        else:
            print(f"SKIPPED: no public rules in {public} (SPAMCATCHER_SHARED names the folder)")
        for name, directories in sets:
            for system, run in (("SpamCatcher", spamcatcher), ("clamd", clamd)):
                results = []
                try:
                    for n in range(3):
                        own = os.path.join(work, f"{len(rows)}-{n}")
                        os.makedirs(own)
                        results.append(run(directories, own))
                except Refused as why:
                    print(row := f"| {name} | {system} | {why} | |", flush=True)
                    rows.append(row)
                    continue
                start, memory = sorted(r[0] for r in results)[1], sorted(r[1] for r in results)[1]
                row = f"| {name} | {system} | {start:.2f} | {memory:.0f} |"
                print(row, flush=True)
                rows.append(row)
    version = subprocess.run([BINARY, "version"], capture_output=True, text=True, check=True).stdout.strip()
    with open(os.path.join(HERE, "SIGNATURES.md"), "w") as f:
        f.write("# Signatures beside clamd\n\nStart to the first answer and memory with the same signatures loaded. SpamCatcher is the whole gateway (rules, classifier, queue)\nand answers by SMTP, clamd by INSTREAM; the median of three starts. clamd reads YARA rules as far as its own reader goes. Written by\n")
        f.write(f"`make signatures-peers` from {version} on {datetime.date.today()}.\n\n| signatures | system | start s | memory (PSS) MB |\n|---|---|---|---|\n")
        f.write("\n".join(rows) + "\n")


main()
