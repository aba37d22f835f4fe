// app.py for Node's http server: `node app.mjs PORT`. What differs is what Node differs in:
// names of fields are as they came, so the runner compares them in lower case.
import http from "node:http";

const seen = new Map(); // peer -> records in order
let numbers = 0;

function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

// Node leaves the absolute form (RFC 9112 3.2.2) to its applications.
function parseTarget(request, headers) {
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(request.url);
  if (!absolute) return request.url;
  const host = headers.find(([name]) => name === "host");
  if (host) host[1] = absolute[1];
  else headers.push(["host", absolute[1]]);
  return absolute[2].startsWith("/") ? absolute[2] : "/" + absolute[2];
}

function recordOf(request) {
  const headers = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    headers.push([request.rawHeaders[i].toLowerCase(), request.rawHeaders[i + 1]]);
  const target = parseTarget(request, headers);
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const record = {
    number: ++numbers,
    method: request.method,
    raw_path: path,
    path: decoded(path),
    query: mark < 0 ? "" : target.slice(mark + 1),
    version: request.httpVersion,
    scheme: "http",
    headers,
    body: "",
    complete: false,
  };
  const peer = `${request.socket.remoteAddress}:${request.socket.remotePort}`;
  if (!seen.has(peer)) seen.set(peer, []);
  seen.get(peer).push(record);
  return record;
}

function sendJson(response, value, headers) {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Content-Length": body.length,
    ...headers,
  });
  response.end(body);
}

// Percent-decoding to bytes, as latin-1.
function parseQuery(query) {
  const pairs = query.split("&").map((pair) => {
    const equals = pair.indexOf("=");
    return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
  });
  return pairs.map(([name, value]) => [name, unescape(value.replaceAll("+", " "))]);
}

async function respond(record, response) {
  const pairs = parseQuery(record.query);
  const query = new Map(pairs);
  const headers = ["X-Conformance", String(record.number)];
  for (const [name, field] of pairs) {
    const colon = field.indexOf(":");
    if (name === "h") headers.push(field.slice(0, colon), field.slice(colon + 1));
  }
  if (query.has("sleep"))
    await new Promise((wake) => setTimeout(wake, 1000 * Number(query.get("sleep"))));
  const parts = (query.get("parts") ?? query.get("body") ?? "").split("|");
  response.writeHead(Number(query.get("status") ?? 200), headers);
  for (const part of parts.slice(0, -1)) response.write(Buffer.from(part, "latin1"));
  response.end(Buffer.from(parts.at(-1), "latin1"));
}

async function answer(record, response) {
  try {
    if (record.path === "/respond") await respond(record, response);
    else sendJson(response, record, { "X-Conformance": String(record.number) });
  } catch {
    // What an application does whose framework refuses a header value.
    response.writeHead(500, { "Content-Length": 0 });
    response.end();
  }
}

const server = http.createServer((request, response) => {
  if (request.url.startsWith("/conformance/take?")) {
    const peer = request.url.slice("/conformance/take?".length);
    const records = seen.get(peer) ?? [];
    seen.delete(peer);
    sendJson(response, records, {});
    return;
  }
  const record = recordOf(request);
  if (record.query.split("&").includes("unread")) {
    answer(record, response);
    return;
  }
  request.on("data", (data) => (record.body += data.toString("latin1")));
  request.on("error", () => {});
  request.on("end", () => {
    record.complete = true;
    answer(record, response);
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
