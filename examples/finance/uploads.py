"""The bytes of an uploaded file as they arrive, however the client sends them.

A form in a browser sends multipart/form-data, a script sends the file itself as
text/csv. Neither is gathered in memory or on disk first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from quart import Request, abort, current_app
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

PLAIN_TYPES = {"text/csv", "text/plain", "application/csv", "application/octet-stream"}
SLICE = 65_536
"""Bytes handed on at a time, so that other requests get their turn between two slices."""
MAX_PARTS = 16


async def body_slices(request: Request) -> AsyncIterator[bytes]:
    """The request body in pieces of at most SLICE bytes.

    413 when it is longer than MAX_CONTENT_LENGTH, whether its length was announced or
    not; 408 when nothing comes for BODY_TIMEOUT seconds.
    """
    most, total = current_app.config["MAX_CONTENT_LENGTH"], 0
    body = aiter(request.body)
    while True:
        try:
            async with asyncio.timeout(current_app.config["BODY_TIMEOUT"]):
                data = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            abort(408, "The upload stopped arriving.")
        total += len(data)
        if most is not None and total > most:
            abort(413, f"At most {most:,} bytes are read.")
        for start in range(0, len(data), SLICE):
            yield data[start : start + SLICE]
            await asyncio.sleep(0)


async def file_slices(request: Request, field: str) -> AsyncIterator[bytes]:
    """The file's bytes: of the form's file field `field`, or of the body itself.

    415 for other content types, 400 for a broken form or one without the file.
    """
    if request.mimetype in PLAIN_TYPES:
        async for data in body_slices(request):
            yield data
    elif request.mimetype == "multipart/form-data":
        boundary = request.mimetype_params.get("boundary", "")
        if not boundary:
            abort(400, "The form does not say where its parts end.")
        async for data in _form_file(request, boundary, field):
            yield data
    else:
        abort(415, "Send the file as text/csv, or with the form as multipart/form-data.")


async def _form_file(request: Request, boundary: str, field: str) -> AsyncIterator[bytes]:
    decoder = MultipartDecoder(boundary.encode("latin-1"), 4 * SLICE, max_parts=MAX_PARTS)
    inside = found = False
    async for data in _with_end(body_slices(request)):
        for event in _events(decoder, data):
            if isinstance(event, File):
                inside = event.name == field and bool(event.filename)
                found = found or inside
            elif isinstance(event, Field):
                inside = False
            elif isinstance(event, Data) and inside and event.data:
                yield event.data
    if not found:
        abort(400, "No file was chosen.")


async def _with_end(slices: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """None after the last slice, as the decoder wants it."""
    async for data in slices:
        yield data
    yield None


def _events(decoder: MultipartDecoder, data: bytes | None) -> list[Event]:
    """What the decoder can tell after these bytes."""
    events: list[Event] = []
    try:
        decoder.receive_data(data)
        while not isinstance(event := decoder.next_event(), NeedData):
            events.append(event)
            if isinstance(event, Epilogue):
                break
    except (ValueError, AttributeError):
        abort(400, "The form is not well-formed.")
    return events
