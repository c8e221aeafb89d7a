"""Types the commands on its standard input at a terminal, as a reader of the quick start would, and reads what comes back.

The first one opens a shell in a pod, in which the others are typed, each when the shell asks for it. A line that begins
with `>` is typed at the program's own prompt of that form; a line that is no command is to be printed by the one before.
Both are ended with Ctrl-C. Every other command has to succeed, and to print what the comment behind it says, separated by
commas. What is seen goes to standard output.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

SHELL = re.compile(rb"bash-[0-9.]+[$#] $")
# What only the shell itself can print: the terminal's echo of what was typed has no sum in it.
HERE = b"echo here=$((40 + 2))"
IS_HERE = re.compile(rb"here=42\r\n(.*\n)*[^\n]*" + SHELL.pattern)
STATUS = b"echo status=$?"
HAS_STATUS = re.compile(rb"status=([0-9]+)\r\n(.*\n)*[^\n]*" + SHELL.pattern)
CTRL_C = b"\x03"
PATIENCE = 180  # seconds


class Terminal:
    def __init__(self, command):
        self.child, self.fd = pty.fork()
        if self.child == 0:
            os.execvp("sh", ["sh", "-c", "exec " + command])
        # So wide that nothing is wrapped.
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 500, 0, 0))
        self.seen = b""

    def await_match(self, pattern):
        """Reads until what has come since the last call ends with, or has in it, the pattern; returns what has come."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self.fd], [], [], 5)
            if time.monotonic() > end:
                sys.exit(f"\ntypist: nothing like {pattern!r} in {PATIENCE} s")
            if not ready:
                # "If you don't see a command prompt, try pressing enter."
                if pattern is SHELL and b"pressing enter" in self.seen:
                    self.type(b"\n")
                continue
            self.read()
        came, self.seen = self.seen, b""
        return came

    def read(self):
        try:
            part = os.read(self.fd, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            part = b""
        if not part:
            sys.exit("\ntypist: the session ended early")
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        self.seen += part

    def type(self, text):
        os.write(self.fd, text)

    def open(self):
        """A shell that took its time was rung, and asks once for each ring: reads past all of that."""
        self.await_match(SHELL)
        self.type(HERE + b"\n")
        self.await_match(IS_HERE)

    def run(self, command, wanted):
        self.type(command.encode() + b"\n")
        printed = self.await_match(SHELL)
        self.type(STATUS + b"\n")
        ended = self.await_match(HAS_STATUS)
        printed += ended
        if HAS_STATUS.search(ended)[1] != b"0":
            sys.exit(f"\ntypist: failed: {command}")
        for words in wanted:
            if words.encode() not in printed:
                sys.exit(f"\ntypist: {words!r} is not printed by {command}")

    def leave(self):
        self.type(b"exit\n")
        while True:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        _, status = os.waitpid(self.child, 0)
        return os.waitstatus_to_exitcode(status)


def is_command(line):
    return line.startswith(("./", "cd "))


def main():
    lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    terminal = Terminal(lines[0])
    terminal.open()
    following = lines[1:] + [""]
    for line, after in zip(following, following[1:]):
        text, _, comment = line.partition("  #")
        text = text.strip()
        if text.startswith(">"):
            terminal.await_match(rb"(^|\n)>$")
            terminal.type(text[1:].encode() + b"\n")
            terminal.await_match(rb"\n>$")
            terminal.type(CTRL_C)
            terminal.await_match(SHELL)
        elif not is_command(text):
            terminal.await_match(rb"\n" + re.escape(text.encode()) + rb"\r\n")
            terminal.type(CTRL_C)
            terminal.await_match(SHELL)
        else:
            # What reads or prints for as long as it is let goes on in the next line.
            if after and not is_command(after):
                terminal.type(text.encode() + b"\n")
            else:
                terminal.run(text, [words.strip() for words in comment.split(",")] if comment else [])
    sys.exit(terminal.leave())


main()
