"""Stop strings and characters, however the bytes are cut: checked against searching the whole text."""
import random
import unittest

import support  # noqa: F401  (finds the package)
from hearth._stream import TextStream


def reference(data, stops):
    """The text before the first stop string, by searching everything at once."""
    ends = [data.find(stop) for stop in stops if stop in data]
    return data[:min(ends)] if ends else data


def streamed(data, stops, cuts):
    stream, out = TextStream(stops), []
    for begin, end in zip([0] + cuts, cuts + [len(data)]):
        out.append(stream.feed(data[begin:end]))
        if stream.stopped:
            return out
    return out + [stream.finish()]


class Streams(unittest.TestCase):
    def test_any_cut_gives_the_text_of_the_whole(self):
        seed = random.SystemRandom().getrandbits(32)
        draw = random.Random(seed)
        for _ in range(3000):
            data = "".join(draw.choice("aab\u00e9\u20ac") for _ in range(draw.randrange(12))).encode("utf-8")
            stops = ["".join(draw.choice("ab\u00e9") for _ in range(draw.randrange(1, 4))).encode("utf-8") for _ in range(draw.randrange(3))]
            cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.randrange(8)))
            parts = streamed(data, stops, cuts)
            # Of several stop strings the one that is complete first counts, so that what was sent is never taken back.
            complete = [data.find(stop) + len(stop) for stop in stops if stop in data]
            wanted = reference(data[:min(complete)] if complete else data, stops)
            whole = "".join(streamed(data, stops, list(range(1, len(data)))))
            self.assertEqual(whole, wanted.decode("utf-8"), f"seed {seed}")
            self.assertEqual("".join(parts), whole, f"seed {seed}")
            self.assertNotIn("\ufffd", "".join(parts), f"seed {seed}")

    def test_nothing_is_held_back_without_need(self):
        stream = TextStream([b"STOP"])
        self.assertEqual([stream.feed(piece) for piece in (b"abc", b" S", b"T", b"x", b"STO", b"P")], ["abc", " ", "", "STx", "", ""])
        self.assertTrue(stream.stopped)

    def test_broken_bytes_become_replacement_characters(self):
        stream = TextStream()
        self.assertEqual([stream.feed(piece) for piece in (b"a\xff", b"b\xe2", b"c")], ["a\ufffd", "b", "\ufffdc"])


if __name__ == "__main__":
    unittest.main()
