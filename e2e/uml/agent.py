"""Runs commands in the guest for `world.sh knfsd exec` and `world.sh node exec`.

One TCP connection is one bash command, ended by a NUL byte; back come its output, a NUL byte and the exit status.
`agent.py ADDRESS PORT` serves, `agent.py ADDRESS PORT COMMAND` asks. On a private bridge, for tests only.
"""

import socket
import subprocess
import sys
import threading


def receive_until_nul(conn):
    data = b""
    while not data.endswith(b"\0"):
        part = conn.recv(65536)
        if not part:
            return None
        data += part
    return data[:-1]


def answer(conn):
    with conn:
        command = receive_until_nul(conn)
        if command is None:
            return
        done = subprocess.run(
            ["/bin/bash", "-c", command.decode()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd="/", check=False,
        )
        try:
            conn.sendall(done.stdout + b"\0%d" % (done.returncode & 255))
        except OSError:
            pass  # who asked has gone


def serve(address):
    listener = socket.create_server(address)
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=answer, args=(conn,), daemon=True).start()


def ask(address, command):
    with socket.create_connection(address, timeout=10) as conn:
        conn.settimeout(None)
        conn.sendall(command.encode() + b"\0")
        reply = b""
        while part := conn.recv(65536):
            reply += part
    output, nul, status = reply.rpartition(b"\0")
    sys.stdout.buffer.write(output if nul else reply)
    return int(status) if nul else 255


if __name__ == "__main__":
    where = (sys.argv[1], int(sys.argv[2]))
    if len(sys.argv) > 3:
        sys.exit(ask(where, " ".join(sys.argv[3:])))
    serve(where)
