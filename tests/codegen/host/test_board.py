"""What the host does with a board that answers, answers late, answers wrong, or does not answer."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.host.board import Answer, Board
from codegen.host.frames import Frame, FrameReader, encode
from codegen.host.identity import Identity
from hw.link.protocol import Fault, Reply, Request

IDENTITY = Identity("small", 1, 3, 1, 15, 2, 2, True)


def scores(image: bytes) -> list[int]:
    return [image[0] - image[1], 100 * image[2] - 700]


class FakeBoard:
    """A line with a board at its end. ``disturb`` may change what goes over the line either way."""

    def __init__(self, disturb: Callable[[bytes], bytes] = bytes):
        self.disturb, self.reader, self.out, self.images = disturb, FrameReader(), b"", 0
        self.longest = 0

    def read(self, size: int) -> bytes:
        data, self.out = self.out[:size], self.out[size:]
        return data

    def write(self, data: bytes) -> int:
        for frame in self.reader.feed(self.disturb(data)):
            self.out += self.disturb(encode(self.answer(frame)))
        return len(data)

    def answer(self, frame: Frame | None) -> Frame:
        if frame is None:
            return Frame(Reply.FAULT, 0, bytes([Fault.CHECKSUM]))
        if frame.kind == Request.IDENTIFY:
            return Frame(Reply.IDENTITY, frame.number, IDENTITY.to_bytes())
        self.images += 1
        values = scores(frame.payload)
        payload = b"".join(value.to_bytes(2, "big", signed=True) for value in values)
        return Frame(Reply.SCORES, frame.number, payload + int(np.argmax(values)).to_bytes(2, "big"))


def images(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(count).integers(0, 16, (count, 1, 3, 1)).astype(np.uint8))


def check(answers: list[Answer], shown: list[np.ndarray]) -> None:
    assert [list(answer.scores) for answer in answers] == [scores(image.tobytes()) for image in shown]
    assert [answer.label for answer in answers] == [int(np.argmax(answer.scores)) for answer in answers]


def test_a_board_is_asked_what_it_is_and_classifies() -> None:
    line, shown = FakeBoard(), images(600)
    board = Board(line, 1)
    assert board.identify() == IDENTITY
    check(list(board.classify(shown, IDENTITY)), shown)
    assert (line.images, board.repeated) == (600, 0)


@pytest.mark.parametrize("seed", range(5))
def test_noise_costs_time_and_no_answer(seed: int) -> None:
    rng = random.Random(seed)

    def noise(data: bytes) -> bytes:
        return bytes(byte ^ (1 << rng.randrange(8)) if rng.random() < 0.01 else byte for byte in data)

    shown = images(60)
    board = Board(FakeBoard(noise), 0.01)
    assert board.identify() == IDENTITY
    check(list(board.classify(shown, IDENTITY)), shown)
    assert board.repeated > 0, f"seed {seed}"


def test_what_was_on_the_line_before_is_passed_over() -> None:
    line = FakeBoard()
    line.out = b"\x00garbage" + encode(Frame(Reply.SCORES, 0, bytes(6))) + b"\x7e\x01\x02\x7e"
    board = Board(line, 1)
    assert board.identify() == IDENTITY
    check(list(board.classify(images(3), IDENTITY)), images(3))


def test_an_answer_that_comes_twice_counts_once() -> None:
    """Late, and after others: the second would else be taken for that to an image 256 later."""
    line, shown = FakeBoard(), images(600)
    write, late = line.write, []

    def twice(data: bytes) -> int:
        before = len(line.out)
        write(data)
        late.append(line.out[before:])
        line.out += late.pop(0) if len(late) > 3 else b""
        return len(data)

    line.write = twice  # type: ignore[method-assign]
    board = Board(line, 1)
    board.identify()
    check(list(board.classify(shown, IDENTITY)), shown)


def test_the_answers_to_a_host_that_was_killed_are_not_taken() -> None:
    """They are on the line under the very numbers that come next, and what the board is overtakes them."""
    line, shown = FakeBoard(), images(5)
    line.out = b"".join(encode(Frame(Reply.SCORES, number, bytes(6))) for number in (0, 1, 2))
    write, read = line.write, line.read

    def overtaking(data: bytes) -> int:
        before, line.out = line.out, b""
        write(data)
        line.out += before
        line.write = write  # type: ignore[method-assign]
        return len(data)

    line.write = overtaking  # type: ignore[method-assign]
    line.read = lambda size: read(7)  # type: ignore[method-assign]
    board = Board(line, 1, first=255)
    assert board.identify() == IDENTITY
    check(list(board.classify(shown, IDENTITY)), shown)


def test_a_host_starts_at_any_number_so_that_a_late_answer_has_another() -> None:
    firsts = set()
    for _ in range(12):
        line = FakeBoard()
        line.answer = lambda frame: (
            firsts.add(frame.number)
            or Frame(  # type: ignore[method-assign,misc]
                Reply.IDENTITY, frame.number, IDENTITY.to_bytes()
            )
        )
        Board(line, 1).identify()
    assert len(firsts) > 4


def test_a_line_that_is_never_silent_is_asked_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codegen.host.board._LISTEN_SECONDS", 0.05)
    line, noise = FakeBoard(), random.Random(1)
    read = line.read
    line.read = lambda size: read(size) or noise.randbytes(5)  # type: ignore[method-assign]
    board = Board(line, 1)
    assert board.identify() == IDENTITY


def failing(answer: Callable[[Frame | None], Frame]) -> str:
    line = FakeBoard()
    line.answer = answer  # type: ignore[method-assign]
    with pytest.raises(UserError) as caught:
        list(Board(line, 0.001).classify(images(3), IDENTITY))
    return str(caught.value)


def test_words_for_a_board_that_is_not_there() -> None:
    line = FakeBoard(lambda data: b"")
    with pytest.raises(UserError) as caught:
        Board(line, 0.002).identify()
    assert str(caught.value) == (
        "the board must answer within 0.002 s, and has not in 8 tries; see that it is configured, that "
        "--port is its serial port, and that nothing else uses it"
    )


def test_words_for_a_board_that_refuses() -> None:
    said = failing(lambda frame: Frame(Reply.FAULT, frame.number if frame else 0, bytes([Fault.LENGTH])))
    assert said == "the board must take what it is sent, and refuses it for its length; configure it anew"
    said = failing(lambda frame: Frame(Reply.FAULT, 0, b"\x63"))
    assert said == "the board must take what it is sent, and refuses it for its reason 63; configure it anew"


def test_words_for_scores_of_another_size() -> None:
    said = failing(lambda frame: Frame(Reply.SCORES, frame.number if frame else 0, b"123"))
    assert said == "the board must send 2 scores of 2 bytes and a class, not 3 bytes; configure it anew"


def test_a_busy_board_is_asked_again() -> None:
    line, refused = FakeBoard(), []
    whole = line.answer

    def answer(frame: Frame | None) -> Frame:
        if frame is not None and frame.number == 1 and not refused:
            refused.append(frame)
            return Frame(Reply.FAULT, frame.number, bytes([Fault.BUSY]))
        return whole(frame)

    line.answer = answer  # type: ignore[method-assign]
    board = Board(line, 0.01, first=0)
    check(list(board.classify(images(4), IDENTITY)), images(4))
    assert (len(refused), board.repeated) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"\x02", b"\x01" + bytes(20), bytes(12)])
def test_words_for_an_identity_that_is_none(content: bytes) -> None:
    with pytest.raises(UserError) as caught:
        Identity.from_bytes(content)
    assert str(caught.value) == (
        "the board must say what it is in version 2 of the protocol, and said "
        f"{content[:16].hex() or 'nothing'}; it may carry another design"
    )


def test_identities_come_back_and_long_names_are_cut() -> None:
    assert Identity.from_bytes(IDENTITY.to_bytes()) == IDENTITY
    long = Identity("é" * 60, 224, 224, 3, 255, 1000, 4, True)
    assert Identity.from_bytes(long.to_bytes()).network == "é" * 32
    with pytest.raises(UserError, match=r"not 1 x 1 x 1 of 0\.\.256 and 3"):
        Identity("deep", 1, 1, 1, 256, 3, 1, False).to_bytes()
