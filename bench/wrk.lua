-- What a run asks for, from the environment, and its result as one line of JSON.
--
--   BENCH_METHOD, BENCH_BODY_BYTES   a request other than GET without content
--   BENCH_PIPELINE                   requests sent back to back on a connection
--   BENCH_CLOSE=1                    a new connection for each request
--
-- Without any of them no request function is defined, and wrk sends one prepared request.

local function number(name)
   return tonumber(os.getenv(name) or "0") or 0
end

wrk.method = os.getenv("BENCH_METHOD") or "GET"
local body_bytes = number("BENCH_BODY_BYTES")
if body_bytes > 0 then
   wrk.body = string.rep("0123456789abcdef", math.floor(body_bytes / 16))
   wrk.headers["Content-Type"] = "application/octet-stream"
end
if number("BENCH_CLOSE") == 1 then
   wrk.headers["Connection"] = "close"
end

local depth = number("BENCH_PIPELINE")
if depth > 1 then
   local batch
   function init(args)
      local requests = {}
      for i = 1, depth do
         requests[i] = wrk.format()
      end
      batch = table.concat(requests)
   end
   function request()
      return batch
   end
end

function done(summary, latency, requests)
   local points = { 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99 }
   local percentiles = {}
   for i, p in ipairs(points) do
      percentiles[i] = string.format('"%g": %d', p, latency:percentile(p))
   end
   local e = summary.errors
   io.write(string.format(
      'BENCH {"requests": %d, "seconds": %.6f, "bytes": %d, "mean_us": %.1f, "max_us": %d, '
         .. '"percentiles_us": {%s}, "errors": {"connect": %d, "read": %d, "write": %d, '
         .. '"status": %d, "timeout": %d}}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, latency.mean, latency.max,
      table.concat(percentiles, ", "), e.connect, e.read, e.write, e.status, e.timeout))
end
