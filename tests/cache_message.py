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


# ---- what of a response a client gets ----


def portion(request, response):
    whole = chosen(request, response)
    return Response(whole.status, whole.fields) if request.method == "HEAD" else whole


def chosen(request, response):
    """RFC 9110 13.2.2, 14.2, for a response that the cache has the whole of."""
    asked, etag = request.fields, lines(response.fields, "etag")
    modified = first(response.fields, "last-modified") or first(response.fields, "date")
    modified = seconds(modified)  # without: RFC 9111 4.3.2
    if not 200 <= response.status < 300:
        return response
    if lines(asked, "if-none-match"):
        wanted = etags(lines(asked, "if-none-match"))
        same = ("*", False) in wanted or {t for t, _ in wanted} & {t for t, _ in etags(etag)}
    else:
        since = seconds(first(asked, "if-modified-since"))
        same = None not in (since, modified) and modified <= since
    if same:  # RFC 9110 15.4.5
        left_out = {"content-language", "content-encoding", "last-modified" if etag else ""}
        fields = [(n, v) for n, v in response.fields if n not in left_out]
        return Response(304, fields)
    ranges = re.fullmatch(r"bytes=(\d*)-(\d*)", first(asked, "range") or "")
    if not ranges or (request.method, response.status) != ("GET", 200):
        return response
    condition = lines(asked, "if-range")
    if condition and (condition != etag or condition[0].startswith("W/")):  # 13.1.5
        return response
    n = len(response.body)
    if n == 0 and not ranges[1] and int(ranges[2]):
        return response  # 14.1.2: it can be had, and there is nothing to point at
    start = int(ranges[1]) if ranges[1] else max(0, n - int(ranges[2]))
    end = min(n, int(ranges[2]) + 1) if ranges[1] and ranges[2] else n
    if start >= n:
        kept = [(name, v) for name, v in response.fields if name in ("date", "vary")]
        return Response(416, [*kept, ("content-range", f"bytes */{n}")])
    fields = [*response.fields, ("content-range", f"bytes {start}-{end - 1}/{n}")]
    return Response(206, fields, response.body[start:end])
