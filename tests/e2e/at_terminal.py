"""A program at a pseudo-terminal, as a person has it, and facts about it: what stories told in Python share."""
import errno
import fcntl
import os
import pty
import re
import resource
import select
import signal
import struct
import sys
import termios
import time

TIOCGPTN = 0x80045430  # tty_ioctl(4)
LIMIT = 300  # seconds for anything
failures = 0
# A sanitizer that takes a signal for a mistake of the program's exits with a status instead.
for options in "ASAN_OPTIONS", "TSAN_OPTIONS":
    os.environ[options] = ":".join([os.environ.get(options, "")] + [f"handle_{s}=0" for s in ("segv", "sigbus", "sigill", "sigfpe", "abort", "sigtrap")])


class At:
    """A terminal with a program at it."""

    def __init__(self, *program, size=(24, 80), core=True):
        ready, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.close(go)
            os.read(ready, 1)  # until its terminal has its size, and its mode is known
            if not core:
                resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
            os.environ["TERM"] = "dumb"
            os.execvp(program[0], program)
        self.screen = b""
        self.before = termios.tcgetattr(self.fd)
        self.resize(*size)
        os.close(ready)
        os.close(go)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        """What the screen got within that time, at most; False at its end."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                more = os.read(self.fd, 65536)
            except OSError as e:
                if e.errno != errno.EIO:
                    raise
                return False
            self.screen += more
            return bool(more)
        return True

    def until(self, pattern, limit=LIMIT):
        """Read on until what came since the last time matches; what matched."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            m = re.search(pattern.encode(), self.screen)
            if m:
                self.screen = self.screen[m.end():]
                return m.group(0).decode()
            if not self.read(0.1):
                break
        raise AssertionError(f"{pattern!r} did not come; the screen has {self.screen[-300:]!r}")

    def is_raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def wait_raw(self, wanted):
        end = time.monotonic() + LIMIT
        while self.is_raw() != wanted:
            assert time.monotonic() < end, "the terminal's mode does not change"
            self.read(0.02)

    def wait_queued(self, n):
        """So many bytes of typed lines nobody has read."""
        slave = os.open(f"/dev/pts/{struct.unpack('i', fcntl.ioctl(self.fd, TIOCGPTN, bytes(4)))[0]}", os.O_RDWR | os.O_NOCTTY)
        end = time.monotonic() + LIMIT
        while struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, bytes(4)))[0] != n:
            assert time.monotonic() < end, "what was typed is not read"
            self.read(0.02)
        os.close(slave)

    def ended(self, of=""):
        """How: a status as of a shell, signals as negative numbers."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.after = termios.tcgetattr(self.fd)  # of a terminal nobody has open any more: as it was left
                while self.read(0):
                    if not select.select([self.fd], [], [], 0)[0]:
                        break
                os.close(self.fd)
                return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            self.read(0.05)
        raise AssertionError(f"{of}it does not end; the screen has {self.screen[-300:]!r}")

    def stopped(self):
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)[0]:
                return
            self.read(0.05)
        raise AssertionError("it does not stop")


def fact(text):
    def run(story):
        global failures
        try:
            story()
            print("ok  ", text)
        except (AssertionError, OSError) as e:
            failures += 1
            print("FAIL", text)
            print("    ", e or type(e).__name__)
    return run


def over():
    """The story is told."""
    sys.exit(1 if failures else 0)
