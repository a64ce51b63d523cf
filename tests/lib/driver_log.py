"""The driver's log lines, collected by a reader of their own."""


class Log:
    """`control`: a connection of nthost_control."""

    def __init__(self, control):
        self.file = control.open()
        self.pending = self.file.log_async()

    def lines(self, wait=0.2):
        found = []
        while self.pending.done(wait):
            found.append(self.pending.wait().out[8:].split(b"\0")[0].decode())
            self.pending = self.file.log_async()
        return found

    def close(self):
        self.pending.cancel()
        self.pending.wait()
        self.file.close()
