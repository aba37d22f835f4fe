-- Requests of all kinds in turn, at a leisurely pace: hits, misses that are stored and push others
-- out, responses that are not stored, content both ways, streams, errors, connections that close.

local kinds = { "/kept", "/new?", "/private", "/echo", "/stream", "/stale?", "/error", "/close" }
local number, echo, close = 0, nil, nil

function init(args)
   echo = wrk.format("POST", "/echo", nil, string.rep("0123456789abcdef", 256))
   close = wrk.format("GET", "/kept", { Host = wrk.headers["Host"], Connection = "close" })
end

function delay()
   return 10
end

function request()
   number = number + 1
   local kind = kinds[number % #kinds + 1]
   if kind == "/echo" then
      return echo
   elseif kind == "/close" then
      return close
   elseif kind == "/new?" then
      return wrk.format("GET", kind .. number)
   elseif kind == "/stale?" then
      return wrk.format("GET", kind .. number % 1000)
   end
   return wrk.format("GET", kind)
end
