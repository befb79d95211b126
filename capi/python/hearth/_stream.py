"""From token bytes to text: whole characters only, and stop strings found across token borders without rescanning."""
import codecs


class StopFinder:
    """Passes bytes on until a stop string appears; holds back only what could be the beginning of one."""

    def __init__(self, stops):
        self.stops = list(stops)
        self.held = b""
        self.stopped = False

    def feed(self, piece):
        """The bytes that are certain to come before any stop string."""
        if not self.stops:
            return piece
        text = self.held + piece
        found = [(at + len(stop), at) for at, stop in ((text.find(stop), stop) for stop in self.stops) if at >= 0]
        if found:  # the one that is complete first, so that the cut into tokens does not matter
            self.stopped, self.held = True, b""
            return text[:min(found)[1]]
        keep = max(self.overlap(text, stop) for stop in self.stops)
        self.held = text[len(text) - keep:]
        return text[:len(text) - keep]

    @staticmethod
    def overlap(text, stop):
        """Length of the longest end of text that is a beginning of stop."""
        for n in range(min(len(text), len(stop) - 1), 0, -1):
            if text.endswith(stop[:n]):
                return n
        return 0

    def flush(self):
        held, self.held = self.held, b""
        return held


class TextStream:
    """Bytes of tokens in, str out; what comes out over a whole run is the same however the bytes were cut."""

    def __init__(self, stops=()):
        self.finder = StopFinder(stops)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.n_bytes = 0  # that went through; after a stop, where the text ends

    @property
    def stopped(self):
        return self.finder.stopped

    def feed(self, piece):
        ready = self.finder.feed(piece)
        self.n_bytes += len(ready)
        return self.decoder.decode(ready)

    def finish(self):
        """The held back rest; a character that was never completed is dropped."""
        return self.decoder.decode(self.finder.flush())
