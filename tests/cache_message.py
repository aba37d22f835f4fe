"""Requests and responses, for cache_model.py: their fields by RFC 9110, and Cache-Control's.

A message's fields are a list of (name in lower case, value).
"""

import dataclasses
import re
from email.utils import formatdate, parsedate_to_datetime


@dataclasses.dataclass
class Request:
    method: str
    target: str
    fields: list


@dataclasses.dataclass
class Response:
    status: int
    fields: list
    body: str = ""


# ---- fields ----


def lines(fields, name):
    return [value for key, value in fields if key == name]


def first(fields, name):
    return next(iter(lines(fields, name)), None)


def members(values):
    """RFC 9110 5.6.1: a list over its lines; a quoted string is not split at its commas."""
    found = (re.findall(r'(?:"[^"]*"|[^,"])+', value) for value in values)
    return [text for line in found for member in line if (text := member.strip(" \t"))]


def seconds(text):
    """RFC 9110 5.6.7; None: it is no date."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError):
        return None


def dated(response, now):
    """RFC 9110 6.6.1: what comes without Date is given one."""
    if response is None or lines(response.fields, "date"):
        return response
    date = formatdate(int(now), usegmt=True)
    return Response(response.status, [*response.fields, ("date", date)], response.body)


def directives(values):
    """RFC 9111 5.2; of a repeated directive the first (4.2.1)."""
    found = {}
    for member in members(values):
        name, equals, value = member.partition("=")
        found.setdefault(name.lower(), value if equals else None)
    return found


def targeted(fields):
    """RFC 9213: the first such field that is a well-formed dictionary stands for Cache-Control."""
    for name in ("zq-cache-control", "cdn-cache-control"):
        found = {}
        for member in ",".join(lines(fields, name)).split(","):
            parts = re.fullmatch(r"([a-z*][a-z0-9_.*-]*)(?:=(\d{1,15}))?", member.strip(" "))
            if not parts:
                break
            found[parts[1]] = parts[2]  # RFC 9651 4.2.2: of a repeated key the last
        else:
            if found:
                return found
    return None


def delta(cc, name):
    """RFC 9111 1.2.2; what is no number of seconds is stale (4.2.1). None: absent."""
    if name not in cc:
        return None
    text = (cc[name] or "").strip('"')
    return min(int(text), 2**31) if re.fullmatch("[0-9]+", text) else 0


def restricts(cc, name):
    """no-cache and private in their unqualified form (5.2.2.4, 5.2.2.7)."""
    return name in cc and not re.fullmatch('"[^"]+"', cc[name] or "")


def named(cc):
    """The fields that their qualified form keeps out of what is stored."""
    lists = (cc[n].strip('"') for n in ("no-cache", "private") if n in cc and not restricts(cc, n))
    return {name.strip().lower() for text in lists for name in text.split(",")}


def tags(fields):
    both = ",".join(lines(fields, "cache-tag")) + "," + " ".join(lines(fields, "surrogate-key"))
    return {name for name in re.split("[, ]", both) if name}


def selecting(request, response):
    """RFC 9111 4.1: the request's fields that Vary names, normalised. None: no request matches."""
    names = [name.lower() for name in members(lines(response.fields, "vary"))]
    return None if "*" in names else {name: selected(request, name) for name in names}


def selected(request, name):
    values = lines(request.fields, name)
    if not values or name in ("cookie", "authorization"):  # which are no lists
        return values or None
    return members(values)


def etags(values):
    """(opaque, weak) of each entity tag."""
    return [(text.removeprefix("W/"), text.startswith("W/")) for text in members(values)]


# ---- parts ----


def part_of(response):
    """RFC 9110 14.4: what a 206 holds: (first, end, length). None: it is no part."""
    if response.status != 206:
        return None
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", first(response.fields, "content-range") or "")
    return (int(found[1]), int(found[2]) + 1, int(found[3])) if found else None


def content_range(start, end, length):
    return "content-range", f"bytes {start}-{end - 1}/{length}"


def strong(response):
    """RFC 9110 8.8.1, 8.8.2.2: the validator that only the same bytes have, or None."""
    etag, modified = first(response.fields, "etag"), first(response.fields, "last-modified")
    if etag is not None:
        return None if etag.startswith("W/") else etag
    dates = seconds(modified), seconds(first(response.fields, "date"))
    return modified if None not in dates and dates[0] < dates[1] else None


def wanted(request, response, length):
    """RFC 9110 14.1.2, 14.2, 13.1.5: (start, end) of so many bytes; None: all of them."""
    ranges = re.fullmatch(r"bytes=(\d*)-(\d*)", first(request.fields, "range") or "")
    if not ranges or request.method != "GET":
        return None
    condition = lines(request.fields, "if-range")
    if condition and (condition != [strong(response)]):
        return None
    if length == 0 and not ranges[1] and int(ranges[2]):
        return None  # it can be had, and there is nothing to point at
    start = int(ranges[1]) if ranges[1] else max(0, length - int(ranges[2]))
    return start, min(length, int(ranges[2]) + 1) if ranges[1] and ranges[2] else length


# ---- what of a response a client gets ----


def portion(request, response, part=None):
    """Of a response, or of the part of one that it is."""
    whole = chosen(request, response, part or (0, len(response.body), len(response.body)))
    return Response(whole.status, whole.fields) if request.method == "HEAD" else whole


def chosen(request, response, part):
    """RFC 9110 13.2.2, 14.2"""
    asked, etag = request.fields, lines(response.fields, "etag")
    modified = first(response.fields, "last-modified") or first(response.fields, "date")
    modified = seconds(modified)  # without: RFC 9111 4.3.2
    if not 200 <= response.status < 300:
        return response
    if lines(asked, "if-none-match"):
        tags = etags(lines(asked, "if-none-match"))
        same = ("*", False) in tags or {t for t, _ in tags} & {t for t, _ in etags(etag)}
    else:
        since = seconds(first(asked, "if-modified-since"))
        same = None not in (since, modified) and modified <= since
    fields = [(n, v) for n, v in response.fields if n != "content-range"]
    if same:  # RFC 9110 15.4.5
        left_out = {"content-language", "content-encoding", "last-modified" if etag else ""}
        return Response(304, [(n, v) for n, v in fields if n not in left_out])
    place = wanted(request, response, part[2])
    if place is None or response.status not in (200, 206):
        return response
    start, end = place
    if start >= part[2]:
        kept = [(n, v) for n, v in fields if n in ("date", "vary")]
        return Response(416, [*kept, ("content-range", f"bytes */{part[2]}")])
    body = response.body[start - part[0] : end - part[0]]
    return Response(206, [*fields, content_range(start, end, part[2])], body)


def in_ranges(fields, response):
    """As an origin answers Range."""
    asked = [(n, v) for n, v in fields if n in ("range", "if-range")]
    if response is None or response.status != 200:
        return response
    return portion(Request("GET", "", asked), response)
