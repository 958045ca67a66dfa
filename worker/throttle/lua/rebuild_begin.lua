-- A rebuild starts: leave a mark that dies with whatever might lose the log meanwhile.
--
-- KEYS  1 mark
-- ARGV  1 nonce
-- reply now µs

local run_id = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
local history = string.match(redis.call("INFO", "replication"), "master_replid:(%w+)") or ""
local time = redis.call("TIME")
redis.call("SET", KEYS[1], ARGV[1] .. ":" .. run_id .. ":" .. history)
return string.format("%.0f", tonumber(time[1]) * 1000000 + tonumber(time[2]))
