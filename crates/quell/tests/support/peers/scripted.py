"""aiosmtpd as a next hop that does what a script says, wrong things too.

scripted.py SCRIPT RECORDS ADDRESS PORT     listens on TCP
scripted.py SCRIPT RECORDS unix PATH        listens on a Unix socket

SCRIPT is a JSON file (see aiosmtpd.rs, `Script`), read again once it has changed: its
faults at the next step, its extensions with the next connection. RECORDS is a directory: `events` gets one JSON line for each thing that
happened, `<n>.eml` the n-th message whose final dot was seen. Both are written before the
answer to the dot goes out. It ends by itself when the process that started it has ended.
"""

import asyncio
import collections
import functools
import hashlib
import json
import os
import re
import sys
import time

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

# A hanging step lasts longer than any test.
IDLE_SECS = 3600
PATH_AND_PARAMETERS = re.compile(r'(?i)(FROM|TO):\s*<((?:"(?:[^"\\]|\\.)*"|[^>"])*)>(.*)')
BARE_NEWLINE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
DSN_PARAMETERS = {"RET", "ENVID", "NOTIFY", "ORCPT"}
STEPS = {"LHLO": "ehlo"}
# What the DATA hook returns when the answers are out already: aiosmtpd pushes what it gets.
NO_REPLY = object()


class Script:
    """The script's file, and how often each of its faults has been used."""

    def __init__(self, path):
        self.path, self.version = path, None
        self.load()

    def load(self):
        status = os.stat(self.path)
        version = (status.st_mtime_ns, status.st_ino)
        if version != self.version:
            with open(self.path, encoding="utf-8") as file:
                self.rules = json.load(file)
            self.version, self.met = version, collections.Counter()

    def fault(self, step, recipients=(), replies=0):
        """The first fault that is due at this step, for one of these recipients, behind so
        many replies to the same dot."""
        self.load()
        for number, fault in enumerate(self.rules["faults"]):
            only = fault["recipient"]
            if fault["step"] != step or (only and only.lower() not in recipients):
                continue
            if replies < fault["after_replies"]:
                continue
            self.met[number] += 1
            turn = self.met[number] - fault["skip"]
            if turn >= 1 and (fault["times"] is None or turn <= fault["times"]):
                return fault
        return None


class Records:
    """What happened, for the test to read."""

    def __init__(self, directory):
        self.directory, self.messages, self.sessions = directory, 0, 0
        self.file = open(os.path.join(directory, "events"), "a", encoding="utf-8")

    def write(self, event, **what):
        self.file.write(json.dumps({"event": event, **what}) + "\n")
        self.file.flush()

    def message(self, content):
        """Keeps a message; returns its number."""
        self.messages += 1
        with open(os.path.join(self.directory, f"{self.messages}.eml"), "wb") as file:
            file.write(content)
        return self.messages


class Faulty:
    """Mixed into aiosmtpd's own sessions: faults, strictness, records."""

    def __init__(self, script, records):
        script.load()
        self.script, self.records, self.rules = script, records, script.rules
        records.sessions += 1
        self.number = records.sessions
        super().__init__(
            self,
            data_size_limit=self.rules["size_bytes"],
            enable_SMTPUTF8=self.rules["smtputf8"],
            hostname="scripted.example",
            ident="ready",
            timeout=IDLE_SECS,
            loop=asyncio.get_running_loop(),
        )
        # aiosmtpd shares these between sessions, and knows nothing of DSN's longer commands.
        self.command_size_limits = collections.defaultdict(lambda: 2048)
        for name, method in list(self._smtp_methods.items()):
            self._smtp_methods[name] = functools.partial(self.step, name, method)

    # What happens.

    def note(self, event, **what):
        self.records.write(event, session=self.number, **what)

    def connection_made(self, transport):
        super().connection_made(transport)
        self.note("open", peer=str(self.session.peer))

    def connection_lost(self, error):
        self.note("close")
        super().connection_lost(error)

    async def push(self, status, **answer):
        """As aiosmtpd's; `answer` says which message and recipient the reply is about."""
        transport = self.transport
        if status is NO_REPLY or transport is None or transport.is_closing():
            return
        lines = status if isinstance(status, bytes) else status.replace("\n", "\r\n").encode()
        # Before it goes out: the client's next look at the records may be quicker than we.
        self.note("reply", line=lines.decode(errors="replace"), **answer)
        self._writer.write(lines + b"\r\n")
        if transport.is_closing() or transport.get_write_buffer_size() > 0:
            self.note("unsent", **answer)
        await self._writer.drain()

    async def stay_or_leave(self, fault):
        if fault["hang"]:
            await asyncio.Event().wait()
        if fault["close"]:
            # Once what was written is out. The session's task ends here.
            if self.transport is not None:
                self.transport.close()
            raise asyncio.CancelledError

    async def perform(self, fault):
        """Does what the fault says; whether that stands in place of the step."""
        await asyncio.sleep(fault["delay_ms"] / 1000)
        if fault["cut"]:
            self._writer.write(fault["reply"].encode())
        elif fault["reply"] is not None:
            await self.push(fault["reply"])
        await self.stay_or_leave(fault)
        return fault["reply"] is not None

    # The steps.

    async def _handle_client(self):
        try:
            fault = self.script.fault("greeting")
            if not (fault and await self.perform(fault)):
                await super()._handle_client()
        finally:
            # aiosmtpd closes only what was interrupted while it waited for a command.
            if self.transport is not None:
                self.transport.close()

    async def step(self, name, method, arg):
        self.note("command", line=name if arg is None else f"{name} {arg}")
        if self._reader._buffer and not self.rules["pipelining"]:
            self.note("violation", what=f"a command behind {name}, and no PIPELINING")
        path = PATH_AND_PARAMETERS.match(arg or "")
        fault = self.script.fault(STEPS.get(name, name.lower()), [path[2].lower()] if path else ())
        if fault and await self.perform(fault):
            return
        if name == "EHLO" and self.rules["helo_only"]:
            return await self.push("502 5.5.1 Not implemented")
        await method(arg)

    def offered(self, parameter):
        """Whether a parameter of MAIL or RCPT belongs to an extension of ours."""
        name, rules = parameter.partition("=")[0].upper(), self.rules
        known = {"SIZE": bool(rules["size_bytes"]), "BODY": rules["eightbit"], "SMTPUTF8": rules["smtputf8"]}
        return known.get(name, rules["dsn"] and name in DSN_PARAMETERS)

    async def parameters(self, arg):
        """Takes DSN's parameters, of which aiosmtpd knows nothing, out of a command."""
        path = PATH_AND_PARAMETERS.match(arg or "")
        self.path, self.given = (path[2], path[3].split()) if path else ("", [])
        refused = [given for given in self.given if not self.offered(given)]
        if refused and self.session.extended_smtp:
            self.note("violation", what=f"{refused} not offered")
            await self.push("555 5.5.4 Parameters not offered")
            return None
        kept = [given for given in self.given if given.partition("=")[0].upper() not in DSN_PARAMETERS]
        return " ".join([f"{path[1]}:<{path[2]}>", *kept]) if path else arg

    async def smtp_MAIL(self, arg):
        arg = await self.parameters(arg)
        if arg is not None:
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg):
        arg = await self.parameters(arg)
        if arg is not None:
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg):
        fault = self.script.fault("body") if self.envelope.rcpt_tos else None
        if fault:
            await self.push("354 Go on, but not to the end")
            await self._reader.readexactly(fault["after_bytes"])
            await self.perform(fault)
        await super().smtp_DATA(arg)

    # aiosmtpd's hooks; the session is its own handler.

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        lines = [line for line in responses[:-1] if self.rules["eightbit"] or "8BITMIME" not in line]
        for name in ("pipelining", "dsn"):
            if self.rules[name]:
                lines.append(f"250-{name.upper()}")
        return [*lines, "250 ENHANCEDSTATUSCODES"]

    async def handle_MAIL(self, server, session, envelope, address, options):
        # Empty would mean to aiosmtpd that there was no MAIL.
        envelope.mail_from = self.path or "<>"
        envelope.mail_options = self.given
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        limit = self.rules["max_recipients"]
        if limit is not None and len(envelope.rcpt_tos) >= limit:
            return self.rules["max_recipients_reply"]
        envelope.rcpt_tos.append(self.path)
        envelope.rcpt_options.append(self.given)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        number = self.keep(session, envelope)
        recipients = [to.lower() for to in envelope.rcpt_tos]
        if not self.rules["lmtp"]:
            await self.answer(number, None, self.script.fault("dot", recipients))
        else:
            # One reply for each recipient (RFC 2033 §4.2).
            for place, to in enumerate(recipients):
                await self.answer(number, place, self.script.fault("dot", [to], place))
        return NO_REPLY

    async def handle_exception(self, error):
        self.note("violation", what=f"{type(error).__name__}: {error}")
        return f"451 4.3.0 {type(error).__name__}"

    async def answer(self, number, place, fault):
        reply = "250 2.0.0 Taken"
        if fault:
            await asyncio.sleep(fault["delay_ms"] / 1000)
            reply = fault["reply"] or (None if fault["hang"] or fault["close"] else reply)
            if fault["cut"]:
                self._writer.write(fault["reply"].encode())
                reply = None
        if reply is not None:
            await self.push(reply, message=number, recipient=place)
        if fault:
            await self.stay_or_leave(fault)

    def keep(self, session, envelope):
        content = envelope.original_content
        number = self.records.message(content)
        if BARE_NEWLINE.search(content):
            self.note("violation", what=f"a bare CR or LF in message {number}")
        self.note(
            "message",
            message=number,
            helo=session.host_name,
            esmtp=session.extended_smtp,
            time_ms=time.time_ns() // 1_000_000,
            reverse_path="" if envelope.mail_from == "<>" else envelope.mail_from,
            parameters=envelope.mail_options,
            recipients=[
                {"to": to, "parameters": given}
                for to, given in zip(envelope.rcpt_tos, envelope.rcpt_options)
            ],
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            peer=str(session.peer),
        )
        return number


class SmtpSession(Faulty, SMTP):
    pass


class LmtpSession(Faulty, LMTP):
    pass


async def end_with(parent):
    while os.getppid() == parent:
        await asyncio.sleep(1)
    os._exit(0)


async def main(script, records, address, port):
    parent = os.getppid()
    script, records = Script(script), Records(records)

    def session():
        return (LmtpSession if script.rules["lmtp"] else SmtpSession)(script, records)

    loop = asyncio.get_running_loop()
    if address == "unix":
        server = await loop.create_unix_server(session, port)
    else:
        server = await loop.create_server(session, address, int(port), backlog=512)
    records.write("listening")
    async with server:
        await end_with(parent)


asyncio.run(main(*sys.argv[1:]))
