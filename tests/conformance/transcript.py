"""Transcripts: what clients and weir say to each other, as texts that can be read aloud. transcripts/README.md explains the format.

Reading them, and comparing a message with what a transcript expects; transcripts_test.py plays them against a server.
"""
import json
import pathlib
import re
from dataclasses import dataclass

PATTERNS = {
    "uuid": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?Z"),
    "time with milliseconds": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z"),
    "epoch": re.compile(r"[0-9a-f]{16}"),
    "text": re.compile(r".*", re.S),
}
KINDS = {*PATTERNS, "number", "anything"}
PLACEHOLDER = re.compile(r"<([a-z_0-9 ]+)(?:: ([a-z_0-9]+))?>")
FURTHER = "+..."  # a member of this name: weir may show more members here
LINE = re.compile(r"(?:(?P<who>[a-z]\w*) )?(?P<what>[<>])(?: (?P<times>\d+) times)? (?P<rest>.*)")


class Mistake(Exception):
    """In the transcript itself."""


@dataclass
class Step:
    number: int  # of its first line
    what: str    # server, connect, refused, disconnect, send, receive, closed, pinged, event, request or answer
    who: str = ""
    times: int = 1
    words: tuple = ()
    message: object = None
    text: str = ""


def read(path):
    """The steps of a transcript."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    steps, at = [], 0

    def message(first):
        """A JSON text that begins on this line, and goes on until it is whole."""
        nonlocal at
        text = first
        while True:
            try:
                return json.loads(text)
            except json.JSONDecodeError as error:
                if at >= len(lines) or lines[at].startswith(("#", "> ", "< ")):
                    raise Mistake(f"{path}:{number}: not a whole message: {error}") from None
            text += "\n" + lines[at]
            at += 1

    while at < len(lines):
        line, number = lines[at].rstrip(), at + 1
        at += 1
        if not line or line.startswith("#"):
            continue
        said = LINE.fullmatch(line)
        if said:
            who, rest, times = said["who"] or "client", said["rest"], int(said["times"] or 1)
            if said["what"] == ">" and rest.startswith("text: "):
                steps.append(Step(number, "send", who, times, text=rest[6:]))
            elif said["what"] == ">":
                steps.append(Step(number, "send", who, times, message=message(rest)))
            elif rest.split()[0] == "closed":
                code, _, reason = rest[7:].partition(" ")
                steps.append(Step(number, "closed", who, words=(int(code), reason)))
            elif rest == "ping frame":
                steps.append(Step(number, "pinged", who))
            else:
                steps.append(Step(number, "receive", who, times, message=message(rest)))
            continue
        word, _, rest = line.partition(" ")
        if word == "server":
            steps.append(Step(number, "server", words=tuple(rest.split())))
        elif word == "connect" and (found := re.fullmatch(r"(?:(\w+) )?to (\S+)(?: with (\S+: .+))?", rest)):
            steps.append(Step(number, "connect", found[1] or "client", words=(found[2], found[3] or "")))
        elif word == "disconnect":
            steps.append(Step(number, "disconnect", rest or "client"))
        elif word == "refused":
            steps.append(Step(number, "refused", words=(int(rest),)))
        elif word == "event" and (found := re.fullmatch(r"in (\S+): (.*)", rest)):
            steps.append(Step(number, "event", words=(found[1],), message=message(found[2])))
        elif word in ("GET", "POST"):
            target, _, body = rest.partition(" ")
            steps.append(Step(number, "request", words=(word, target), message=message(body) if body else None))
        elif word == "answer" and (found := re.fullmatch(r"(\d+)(?: (.*))?", rest)):
            steps.append(Step(number, "answer", words=(int(found[1]),), message=message(found[2]) if found[2] else {FURTHER: "anything"}))
        else:
            raise Mistake(f"{path}:{number}: `{line}` is no line of a transcript; README.md has them all")
    if not steps or steps[0].what != "server":
        raise Mistake(f"{path}: the first line says what the server is: `server stream=events`")
    return steps


def filled(message, names):
    """`message` with the values of its names, for sending."""
    if isinstance(message, dict):
        return {key: filled(value, names) for key, value in message.items()}
    if isinstance(message, list):
        return [filled(value, names) for value in message]
    if isinstance(message, str) and (found := PLACEHOLDER.fullmatch(message)):
        if found[1] not in names:
            raise Mistake(f"`{message}` has no value yet: `<text: {found[1]}>` gives it one")
        return names[found[1]]
    return message


def differences(wanted, there, names, path=""):
    """What is different, a line each. Members stand in any order; a name with `+` is weir's own beside what the document shows. Remembers what placeholders name."""
    place = path or "the message"
    if isinstance(wanted, str) and (found := PLACEHOLDER.fullmatch(wanted)):
        kind, name = found[1], found[2]
        if kind not in KINDS:
            if kind not in names:
                raise Mistake(f"`{wanted}` is neither a placeholder nor a name that has a value")
            return differences(names[kind], there, {}, path)
        if kind == "number":
            right = isinstance(there, (int, float)) and not isinstance(there, bool)
        else:
            right = kind == "anything" or isinstance(there, str) and PATTERNS[kind].fullmatch(there) is not None
        if not right:
            return [f"{place} is {json.dumps(there)}, expected a {kind}"]
        if name:
            names[name] = there
        return []
    if isinstance(wanted, dict):
        if not isinstance(there, dict):
            return [f"{place} is {json.dumps(there)}, expected an object"]
        found, expected = [], {name.removeprefix("+"): value for name, value in wanted.items() if name != FURTHER}
        for name, value in expected.items():
            inner = f"{path}.{name}" if path else name
            found += differences(value, there[name], names, inner) if name in there else [f"{inner} is missing"]
        if FURTHER not in wanted:
            found += [f"{path + '.' if path else ''}{name} is not in the transcript: {json.dumps(there[name])}" for name in there if name not in expected]
        return found
    if isinstance(wanted, list):
        if not isinstance(there, list) or len(there) != len(wanted):
            return [f"{place} is {json.dumps(there)}, expected {json.dumps(wanted)}"]
        return [line for n, (a, b) in enumerate(zip(wanted, there)) for line in differences(a, b, names, f"{path}[{n}]")]
    # For Python True is 1, for a reader of JSON it is not.
    same = wanted == there and isinstance(wanted, bool) == isinstance(there, bool)
    return [] if same else [f"{place} is {json.dumps(there)}, expected {json.dumps(wanted)}"]
